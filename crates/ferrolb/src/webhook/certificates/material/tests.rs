use super::*;

const SERVER: &str = "metallb-webhook-service.metallb-system.svc";

fn at(days: u64) -> SystemTime {
    UNIX_EPOCH + DAY * 20_000 + DAY * u32::try_from(days).unwrap()
}

/// What the Go program makes: RSA keys in PKCS#1, from the first of November 2026, for one and ten years.
fn made_by_go() -> Material {
    Material {
        authority: include_bytes!("go/ca.crt").to_vec(),
        authority_key: include_bytes!("go/ca.key").to_vec(),
        certificate: include_bytes!("go/tls.crt").to_vec(),
        key: include_bytes!("go/tls.key").to_vec(),
    }
}

/// Days after the Go program made it.
fn after_go(days: u32) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_793_491_200) + DAY * days
}

#[test]
fn what_was_made_will_do_until_ninety_days_before_its_end() {
    let made = Material::make(SERVER, at(0)).unwrap();
    for day in [0, 1, 274] {
        assert!(made.renewed(SERVER, at(day)).unwrap().is_none(), "day {day}");
    }
    let renewed = made.renewed(SERVER, at(276)).unwrap().expect("the certificate is near its end");
    assert!(renewed.authority == made.authority && renewed.certificate != made.certificate);
    assert!(renewed.renewed(SERVER, at(276)).unwrap().is_none());

    let day = 3650 - 89;
    let renewed = made.renewed(SERVER, at(day)).unwrap().expect("the authority is near its end");
    assert!(renewed.authority != made.authority && renewed.certificate != made.certificate);
    assert!(renewed.renewed(SERVER, at(day)).unwrap().is_none());
}

#[test]
fn clocks_may_differ_by_an_hour() {
    let made = Material::make(SERVER, at(100)).unwrap();
    assert!(made.has_certificate_until(SERVER, at(100) - HEAD_START));
    assert!(!made.has_certificate_until(SERVER, at(100) - HEAD_START - Duration::from_secs(1)));
}

#[test]
fn what_does_not_fit_is_made_anew() {
    let made = Material::make(SERVER, at(0)).unwrap();
    let other = Material::make(SERVER, at(0)).unwrap();
    let renewed = |material: &Material, name: &str| material.renewed(name, at(1)).unwrap();
    let elsewhere = renewed(&made, "other.ns.svc").expect("it is for another name");
    assert!(elsewhere.authority == made.authority && elsewhere.has_certificate_until("other.ns.svc", at(1)));
    for (case, material, keeps_authority) in [
        (
            "a foreign certificate",
            Material { certificate: other.certificate.clone(), key: other.key.clone(), ..made.clone() },
            true,
        ),
        ("a foreign key", Material { key: other.key.clone(), ..made.clone() }, true),
        (
            "a foreign key of the authority",
            Material { authority_key: other.authority_key, ..made.clone() },
            false,
        ),
        ("rubbish", Material { authority: b"x".to_vec(), ..made.clone() }, false),
        ("rubbish in the certificate", Material { certificate: b"x".to_vec(), ..made.clone() }, true),
        ("nothing", Material::default(), false),
    ] {
        let renewed = renewed(&material, SERVER).unwrap_or_else(|| panic!("{case} will do"));
        assert_eq!(renewed.authority == material.authority, keeps_authority, "{case}");
        assert!(renewed.renewed(SERVER, at(1)).unwrap().is_none(), "{case}");
    }
}

#[test]
fn what_metallb_made_will_do_and_is_renewed_under_its_authority() {
    let go = made_by_go();
    assert!(go.renewed(SERVER, after_go(1)).unwrap().is_none());
    let renewed = go.renewed(SERVER, after_go(300)).unwrap().expect("the certificate is near its end");
    assert!(renewed.authority == go.authority && renewed.certificate != go.certificate);
    assert!(renewed.renewed(SERVER, after_go(300)).unwrap().is_none());
}

#[test]
fn the_authority_is_named_as_metallbs_is() {
    let der = CertificateDer::from_pem_slice(&Material::make(SERVER, at(0)).unwrap().authority).unwrap();
    let fields = certificate::read(&der).unwrap();
    assert_eq!(
        (fields.common_name.as_str(), fields.organizations.as_slice()),
        ("cert", &["metallb".to_owned()][..])
    );
    assert!(fields.dns_names.is_empty(), "else MetalLB would keep what it cannot use");
}

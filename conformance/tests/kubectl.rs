//! kubectl prints what it was recorded to print against a real server.

use conformance::commands::Commands;
use conformance::kubectl::Kubectl;
use conformance::world::Served;
use conformance::{programs, report};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_prints_what_it_prints_against_a_real_server() {
    let programs = programs::kubectls();
    if programs.is_empty() {
        eprintln!("skipped: no kubectl was built; scripts/conformance kubectl builds one");
    }
    for (version, program) in programs {
        let (served, commands) = (Served::start().await.unwrap(), Commands::read(version).unwrap());
        let kubectl = Kubectl::new(program, &served.address).unwrap();
        let differing = commands.differing(&kubectl).await.unwrap();
        let judgement = report::judge(&commands.ledger, &differing, &commands.cases());
        assert!(
            judgement.is_fine(),
            "kubectl {version}, of {} steps:\n{}",
            commands.steps(),
            judgement.text()
        );
    }
}

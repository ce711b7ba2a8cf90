//! Signed tokens: JSON Web Tokens with ES256, the only algorithm that is written or accepted.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};

/// A longer token is none.
const TOKEN_BYTES: usize = 16 << 10;
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// What stands before the point of a P-256 key in a SubjectPublicKeyInfo (RFC 5480).
const PUBLIC_KEY_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("no private key of the curve P-256 in PKCS#8: {0}")]
    Unusable(String),
    #[error("the system has no random numbers")]
    NoRandomNumbers,
}

/// Signs tokens and knows its own signature.
pub struct Signer {
    key: EcdsaKeyPair,
    key_id: String,
    pem: String,
}

impl Signer {
    pub fn generate() -> Result<Signer, KeyError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let pkcs8 = pkcs8.map_err(|_| KeyError::NoRandomNumbers)?;
        Signer::from_pkcs8(pkcs8.as_ref())
    }

    pub fn from_pem(pem: &str) -> Result<Signer, KeyError> {
        let body = pem.split_once(PEM_BEGIN).and_then(|(_, rest)| rest.split_once(PEM_END));
        let (body, _) = body.ok_or_else(|| KeyError::Unusable("it is not PEM".to_owned()))?;
        let body: String = body.split_whitespace().collect();
        Signer::from_pkcs8(&STANDARD.decode(body).map_err(|error| KeyError::Unusable(error.to_string()))?)
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Signer, KeyError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
        let key = key.map_err(|error| KeyError::Unusable(error.to_string()))?;
        let public = [&PUBLIC_KEY_HEAD[..], key.public_key().as_ref()].concat();
        let key_id = BASE64.encode(digest::digest(&digest::SHA256, &public));
        let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(pkcs8));
        Ok(Signer { key, key_id, pem })
    }

    /// To be kept secret.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn sign(&self, claims: &Value) -> Option<String> {
        let head = json!({"alg": "ES256", "kid": self.key_id});
        let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).ok()?;
        Some(format!("{text}.{}", BASE64.encode(signature)))
    }

    /// The claims of a token that has our signature. Whether they hold is not looked at.
    pub fn verified(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.').filter(|_| token.len() <= TOKEN_BYTES)?;
        let (head, claims) = text.split_once('.')?;
        let head: Value = serde_json::from_slice(&BASE64.decode(head).ok()?).ok()?;
        if head["alg"] != "ES256" {
            return None;
        }
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(text.as_bytes(), &BASE64.decode(signature).ok()?).ok()?;
        serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()
    }

    /// The keys that others verify our tokens with (RFC 7517).
    pub fn key_set(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = point.split_at_checked(1).unwrap_or_default().1.split_at_checked(32).unwrap_or_default();
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        }]})
    }
}

/// Who a token says that it is from; to be believed only when it is verified.
pub fn claimed_issuer(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let claims = parts.nth(1).filter(|_| parts.next().is_some() && parts.next().is_none())?;
    let claims: Value = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_with_this_key_and_is_unchanged_is_believed() {
        let (ours, theirs) = (Signer::generate().unwrap(), Signer::generate().unwrap());
        let claims = json!({"sub": "a", "iss": "me"});
        let token = ours.sign(&claims).unwrap();
        assert_eq!(ours.verified(&token), Some(claims.clone()));
        assert_eq!(Signer::from_pem(ours.pem()).unwrap().verified(&token), Some(claims));
        assert_eq!(claimed_issuer(&token).as_deref(), Some("me"));
        assert_eq!(theirs.verified(&token), None);
        let parts: Vec<&str> = token.split('.').collect();
        let with = |at: usize, part: &str| {
            let mut parts = parts.clone();
            parts[at] = part;
            parts.join(".")
        };
        let other_claims = BASE64.encode(json!({"sub": "b", "iss": "me"}).to_string());
        let no_algorithm = BASE64.encode(json!({"alg": "none"}).to_string());
        for forged in
            [with(1, &other_claims), with(0, &no_algorithm), with(2, ""), with(2, "AAAA"), String::new()]
        {
            assert_eq!(ours.verified(&forged), None, "{forged}");
        }
        assert_eq!(ours.verified(&format!("{token}{}", "A".repeat(TOKEN_BYTES))), None);
    }

    #[test]
    fn the_published_key_is_the_one_that_signs() {
        let signer = Signer::generate().unwrap();
        let set = signer.key_set();
        let coordinate = |name: &str| BASE64.decode(set["keys"][0][name].as_str().unwrap()).unwrap();
        let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
        assert_eq!(point, signer.key.public_key().as_ref());
        assert!(Signer::from_pem("no key").is_err());
    }
}

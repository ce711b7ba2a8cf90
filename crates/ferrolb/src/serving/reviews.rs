//! Who a caller is and what it may see, as the API server says: TokenReview and SubjectAccessReview, and a short memory
//! of what they said.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::SubjectAccessReviewStatus;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::call::{self, Failure};

const TOKEN_TIME: Duration = Duration::from_secs(60);
const ALLOWED_TIME: Duration = Duration::from_secs(5 * 60);
const DENIED_TIME: Duration = Duration::from_secs(30);
/// How long the API server may take to answer.
const REVIEW_TIME: Duration = Duration::from_secs(10);
/// Scrapers are few. Beyond this the memory begins anew.
const REMEMBERED_MAX: usize = 1024;
/// Longer ones are none.
const TOKEN_BYTES_MAX: usize = 64 << 10;

pub(super) struct Reviews {
    client: Client,
    users: Memory<String, Option<User>>,
    decisions: Memory<(User, String, String), bool>,
}

/// What is known of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct User {
    pub(super) name: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReviewError {
    #[error("{0}")]
    Api(#[from] Failure),
    #[error("the API server did not answer in time")]
    Time,
    #[error("the API server answered without a status")]
    NoStatus,
}

impl Reviews {
    pub(super) fn new(client: Client) -> Reviews {
        Reviews { client, users: Memory::default(), decisions: Memory::default() }
    }

    /// Whose token it is, if it is anybody's.
    pub(super) async fn authenticate(&self, token: &str) -> Result<Option<User>, ReviewError> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        if let Some(user) = self.users.get(&token.to_owned()) {
            return Ok(user);
        }
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let status: TokenReviewStatus = self.review(path, &review).await?;
        let is_known = status.authenticated == Some(true);
        let user = status.user.filter(|_| is_known).map(User::from);
        self.users.keep(token.to_owned(), user.clone(), TOKEN_TIME);
        Ok(user)
    }

    /// Whether a user may do this with a path.
    pub(super) async fn authorize(&self, user: &User, verb: &str, path: &str) -> Result<bool, ReviewError> {
        let key = (user.clone(), verb.to_owned(), path.to_owned());
        if let Some(is_allowed) = self.decisions.get(&key) {
            return Ok(is_allowed);
        }
        let mut review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.name, "groups": user.groups, "extra": user.extra,
                "nonResourceAttributes": {"path": path, "verb": verb},
            },
        });
        if !user.uid.is_empty() {
            review["spec"]["uid"] = user.uid.as_str().into();
        }
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let status: SubjectAccessReviewStatus = self.review(path, &review).await?;
        self.decisions.keep(key, status.allowed, if status.allowed { ALLOWED_TIME } else { DENIED_TIME });
        Ok(status.allowed)
    }

    /// What the API server says to a review.
    async fn review<T: DeserializeOwned>(&self, path: &str, review: &Value) -> Result<T, ReviewError> {
        #[derive(Deserialize)]
        struct Reviewed<T> {
            status: Option<T>,
        }
        let answer = timeout(REVIEW_TIME, call::post::<Reviewed<T>>(&self.client, path, review)).await;
        answer.map_err(|_| ReviewError::Time)??.status.ok_or(ReviewError::NoStatus)
    }
}

impl From<UserInfo> for User {
    fn from(info: UserInfo) -> User {
        User {
            name: info.username.unwrap_or_default(),
            uid: info.uid.unwrap_or_default(),
            groups: info.groups.unwrap_or_default(),
            extra: info.extra.unwrap_or_default(),
        }
    }
}

/// Values that are worth something for a while.
struct Memory<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Memory<K, V> {
        Memory(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
    }

    fn keep(&self, key: K, value: V, time: Duration) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= REMEMBERED_MAX {
            let now = Instant::now();
            memory.retain(|_, (_, until)| *until > now);
        }
        if memory.len() >= REMEMBERED_MAX {
            memory.clear();
        }
        memory.insert(key, (value, Instant::now() + time));
    }
}

/// Tokens are secret.
impl std::fmt::Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviews").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_ends_and_is_bounded() {
        let memory: Memory<usize, usize> = Memory::default();
        memory.keep(1, 2, TOKEN_TIME);
        tokio::time::advance(TOKEN_TIME - Duration::from_millis(1)).await;
        assert_eq!(memory.get(&1), Some(2));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(memory.get(&1), None);
        for key in 0..3 * REMEMBERED_MAX {
            memory.keep(key, key, TOKEN_TIME);
            assert_eq!(memory.get(&key), Some(key));
        }
        assert!(memory.0.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}

//! Which events are written, and how: (what happened, what was said before) to a new event, a higher count, or silence.
//!
//! The rules are those of Kubernetes' clients: the same event again counts up; many that differ in their message alone
//! become one; and an object that goes on and on is heard rarely.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct About {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) about: About,
    pub(crate) is_warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    New {
        message: String,
    },
    /// The event of this name was written before.
    Again {
        name: String,
        message: String,
        count: u32,
    },
}

/// Where an event that was written is found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    object: (String, String, String),
    is_warning: bool,
    reason: String,
    /// Nothing if many messages share one event.
    message: Option<String>,
}

/// More different messages than this for one reason within the interval are combined.
const DIFFERENT_MAX: usize = 10;
const INTERVAL: Duration = Duration::from_secs(600);
/// An object may say so much at once, and one more each interval of this length.
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// Objects, and events, that are remembered; by each of the writers.
const REMEMBERED: usize = 256;

#[derive(Debug)]
pub(crate) struct Correlator {
    budgets: Recent<(String, String, String), Budget>,
    similar: Recent<Place, Similar>,
    written: Recent<Place, (String, u32)>,
}

#[derive(Debug)]
struct Budget {
    left: f64,
    at: Instant,
}

#[derive(Debug)]
struct Similar {
    messages: Vec<String>,
    last: Instant,
}

impl Default for Correlator {
    fn default() -> Correlator {
        Correlator { budgets: Recent::new(), similar: Recent::new(), written: Recent::new() }
    }
}

impl Correlator {
    /// Nothing if it is not to be written at all. Whoever writes it says so with [`written`](Correlator::written).
    pub(crate) fn correlate(&mut self, news: &News, now: Instant) -> Option<(Place, Entry)> {
        let object = (news.about.namespace.clone(), news.about.name.clone(), news.about.uid.clone());
        if !self.has_budget(&object, now) {
            return None;
        }
        let reason = news.reason.clone();
        let shared = Place { object, is_warning: news.is_warning, reason, message: None };
        let similar = self.similar.get_or(&shared, || Similar { messages: Vec::new(), last: now });
        if now.duration_since(similar.last) > INTERVAL {
            similar.messages.clear();
        }
        similar.last = now;
        if !similar.messages.contains(&news.message) && similar.messages.len() <= DIFFERENT_MAX {
            similar.messages.push(news.message.clone());
        }
        let is_combined = similar.messages.len() > DIFFERENT_MAX;
        let (place, message) = if is_combined {
            (shared, format!("(combined from similar events): {}", news.message))
        } else {
            (Place { message: Some(news.message.clone()), ..shared }, news.message.clone())
        };
        let entry = match self.written.get(&place) {
            Some((name, count)) => Entry::Again { name: name.clone(), message, count: *count + 1 },
            None => Entry::New { message },
        };
        Some((place, entry))
    }

    /// An event of this name now stands for so many.
    pub(crate) fn written(&mut self, place: &Place, name: String, count: u32) {
        *self.written.get_or(place, || (String::new(), 0)) = (name, count);
    }

    fn has_budget(&mut self, object: &(String, String, String), now: Instant) -> bool {
        let budget = self.budgets.get_or(object, || Budget { left: BURST, at: now });
        let refilled = now.duration_since(budget.at).as_secs_f64() / REFILL.as_secs_f64();
        budget.left = (budget.left + refilled).min(BURST);
        budget.at = now;
        let has_budget = budget.left >= 1.0;
        if has_budget {
            budget.left -= 1.0;
        }
        has_budget
    }
}

/// A map that forgets what came first when it is full.
#[derive(Debug)]
struct Recent<K, V> {
    values: HashMap<Arc<K>, V>,
    order: VecDeque<Arc<K>>,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    fn new() -> Recent<K, V> {
        Recent { values: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    fn get_or(&mut self, key: &K, first: impl FnOnce() -> V) -> &mut V {
        if !self.values.contains_key(key) {
            if self.order.len() >= REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.values.remove(&oldest);
            }
            let key = Arc::new(key.clone());
            self.order.push_back(Arc::clone(&key));
            self.values.insert(key, first());
        }
        self.values.get_mut(key).expect("it was put there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(name: &str, message: &str) -> News {
        let about = About {
            api_version: "v1",
            kind: "Service",
            namespace: "default".to_owned(),
            name: name.to_owned(),
            uid: "1".to_owned(),
            resource_version: String::new(),
        };
        News { about, is_warning: true, reason: "AllocationFailed".to_owned(), message: message.to_owned() }
    }

    /// What is written when this happens, as `(message, count)`.
    fn say(correlator: &mut Correlator, news: &News, now: Instant) -> Option<(String, u32)> {
        let (place, entry) = correlator.correlate(news, now)?;
        let (message, count) = match entry {
            Entry::New { message } => (message, 1),
            Entry::Again { message, count, .. } => (message, count),
        };
        correlator.written(&place, "event".to_owned(), count);
        Some((message, count))
    }

    #[test]
    fn the_same_again_counts_up_and_another_is_new() {
        let (mut correlator, now) = (Correlator::default(), Instant::now());
        assert_eq!(say(&mut correlator, &news("a", "no"), now), Some(("no".to_owned(), 1)));
        assert_eq!(say(&mut correlator, &news("a", "no"), now), Some(("no".to_owned(), 2)));
        assert_eq!(say(&mut correlator, &news("a", "not yet"), now), Some(("not yet".to_owned(), 1)));
        assert_eq!(say(&mut correlator, &news("b", "no"), now), Some(("no".to_owned(), 1)));
    }

    #[test]
    fn many_that_differ_in_the_message_alone_become_one() {
        let (mut correlator, now) = (Correlator::default(), Instant::now());
        for number in 0..10 {
            let said = say(&mut correlator, &news("a", &number.to_string()), now);
            assert_eq!(said, Some((number.to_string(), 1)));
        }
        let combined = |number: u32| format!("(combined from similar events): {number}");
        assert_eq!(say(&mut correlator, &news("a", "10"), now), Some((combined(10), 1)));
        assert_eq!(say(&mut correlator, &news("a", "11"), now), Some((combined(11), 2)));
        let later = now + INTERVAL + Duration::from_secs(1);
        assert_eq!(say(&mut correlator, &news("a", "12"), later), Some(("12".to_owned(), 1)));
    }

    #[test]
    fn an_object_that_goes_on_and_on_is_heard_rarely() {
        let (mut correlator, now) = (Correlator::default(), Instant::now());
        let heard = (0..100).filter(|_| say(&mut correlator, &news("a", "no"), now).is_some()).count();
        assert_eq!(heard, 25);
        assert!(say(&mut correlator, &news("b", "no"), now).is_some(), "others are heard");
        assert_eq!(say(&mut correlator, &news("a", "no"), now + REFILL), Some(("no".to_owned(), 26)));
        assert_eq!(say(&mut correlator, &news("a", "no"), now + REFILL), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut correlator, now) = (Correlator::default(), Instant::now());
        for number in 0..3 * REMEMBERED {
            say(&mut correlator, &news(&number.to_string(), "no"), now);
        }
        assert_eq!(correlator.written.values.len(), REMEMBERED);
        assert_eq!(correlator.budgets.order.len(), REMEMBERED);
    }
}

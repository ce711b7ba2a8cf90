//! Events about objects, written as Kubernetes' own clients write them: what repeats is counted, not said again.

mod correlate;
mod record;

pub(crate) use correlate::{About, News};
pub(crate) use record::Recorder;

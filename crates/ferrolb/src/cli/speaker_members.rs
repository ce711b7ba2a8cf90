//! The flags of membership: MetalLB's, as far as they mean something here, and our own.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{ArgAction, Args, ValueEnum};
use protocol::member::{Detection, Isolated};

use super::speaker_files::{MEMBERLIST, Profile};
use super::{go_flags, speaker};
use crate::members::{self, Host, Members, Peers, SECRET_FILE};

const FASTEST: Duration = Duration::from_millis(10);
const SLOWEST: Duration = Duration::from_secs(5);
/// Between places that are far apart.
const WAN: Duration = Duration::from_millis(200);
/// MetalLB's default of a probe every second stands for ours, so another one is this part of it.
const BEATS_OF_A_PROBE: u32 = 20;

#[derive(Debug, PartialEq, Eq, Args)]
pub(super) struct MemberArgs {
    /// The address by which other speakers reach this one; with --ml-labels or --peers, speakers watch over each other
    #[arg(long, env = "METALLB_ML_BIND_ADDR", default_value = "", hide_default_value = true)]
    ml_bindaddr: String,
    /// Its port, of UDP; 7946 if not given
    #[arg(long, env = "METALLB_ML_BIND_PORT", default_value = "", hide_default_value = true)]
    ml_bindport: String,
    /// The labels of the speakers' Pods
    #[arg(long, env = "METALLB_ML_LABELS", default_value = "", hide_default_value = true)]
    ml_labels: String,
    /// The folder with the file secretkey, which all speakers have in common
    #[arg(long, env = "METALLB_ML_SECRET_KEY_PATH", default_value = "", hide_default_value = true)]
    ml_secret_key_path: String,
    /// Nodes are far apart: a beat every 200 ms, if --failure-detection says nothing else
    #[arg(long, action = ArgAction::Set, value_parser = go_flags::switch, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    ml_wan_config: bool,
    /// Where other speakers may be, beside those of --ml-labels
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',')]
    peers: Vec<String>,
    /// How often a watched node is heard, from 10ms to 5s; 50ms if not given
    #[arg(long, value_name = "DURATION")]
    failure_detection: Option<String>,
    /// How many times in a row it is not, until others are asked
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=50))]
    failure_detection_multiplier: u8,
    /// What a node does that hears no other: go on, or fall silent until it hears one
    #[arg(long, value_enum, default_value = "keep")]
    isolated: IsolatedArg,
    /// Before another node is taken over from: nothing more is waited for; or for its Lease, which it must renew to answer, so
    /// that two never do, at the price of seconds
    #[arg(long, value_enum, default_value = "none")]
    fence: FenceArg,
    /// With --fence=lease: a Lease that was not renewed for so long, in whole seconds from 3s to 60s, is over
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    fence_duration: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FenceArg {
    None,
    Lease,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IsolatedArg {
    Keep,
    Yield,
}

impl MemberArgs {
    /// How speakers that are alive are known, as far as it is not said who they are.
    pub(super) fn members(&self) -> anyhow::Result<Members> {
        let profile = Profile::read(Path::new(MEMBERLIST))?;
        let detection = self.detection(profile.as_ref())?;
        let port = self.port()?;
        self.secret()?;
        if !self.are_watched() {
            return Ok(Members::Everyone);
        }
        if let Some(profile) = &profile {
            profile.tell_what_has_no_effect();
        }
        let address: IpAddr =
            self.ml_bindaddr.parse().with_context(|| format!("--ml-bindaddr {:?}", self.ml_bindaddr))?;
        let hosts: Vec<Host> = self.peers.iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
        let labels = Some(self.ml_labels.clone()).filter(|labels| !labels.is_empty());
        Ok(Members::Watched(Box::new(members::Options {
            address: SocketAddr::new(address, port),
            peers: Peers { labels, hosts },
            secret: self.secret()?,
            detection,
            isolated: match self.isolated {
                IsolatedArg::Keep => Isolated::Keep,
                IsolatedArg::Yield => Isolated::Yield,
            },
            fence: self.fence()?,
        })))
    }

    /// As with MetalLB it takes an address and a way to find others.
    fn are_watched(&self) -> bool {
        let finds_others = !self.ml_labels.is_empty() || !self.peers.is_empty();
        !self.ml_bindaddr.is_empty() && finds_others
    }

    fn port(&self) -> anyhow::Result<u16> {
        if self.ml_bindport.is_empty() {
            return Ok(members::PORT);
        }
        let port: u16 =
            self.ml_bindport.parse().with_context(|| format!("--ml-bindport {:?}", self.ml_bindport))?;
        anyhow::ensure!(port > 0, "--ml-bindport is 0, where nobody could find this speaker");
        Ok(port)
    }

    fn fence(&self) -> anyhow::Result<Option<Duration>> {
        let duration = speaker::duration("--fence-duration", &self.fence_duration)?;
        let is_possible = (3..=60).contains(&duration.as_secs()) && duration.subsec_nanos() == 0;
        anyhow::ensure!(
            is_possible,
            "--fence-duration {:?} is not 3s to 60s in whole seconds",
            self.fence_duration
        );
        Ok((self.fence == FenceArg::Lease).then_some(duration))
    }

    /// As with MetalLB the file must be there if it is said where.
    fn secret(&self) -> anyhow::Result<Option<PathBuf>> {
        if self.ml_secret_key_path.is_empty() {
            return Ok(None);
        }
        let folder = PathBuf::from(&self.ml_secret_key_path);
        let path = folder.join(SECRET_FILE);
        std::fs::read(&path).with_context(|| format!("--ml-secret-key-path: {}", path.display()))?;
        Ok(Some(folder))
    }

    /// The flag, then the file, which replaces the other profile, then that.
    fn detection(&self, profile: Option<&Profile>) -> anyhow::Result<Detection> {
        let interval = match (&self.failure_detection, profile) {
            (Some(text), _) => {
                let interval = speaker::duration("--failure-detection", text)?;
                anyhow::ensure!(
                    (FASTEST..=SLOWEST).contains(&interval),
                    "--failure-detection {text} is not from 10ms to 5s"
                );
                interval
            }
            (None, Some(profile)) => (profile.probe_interval / BEATS_OF_A_PROBE).clamp(FASTEST, SLOWEST),
            (None, None) if self.ml_wan_config => WAN,
            (None, None) => Detection::default().interval,
        };
        Ok(Detection { interval, multiplier: self.failure_detection_multiplier })
    }
}

/// What comes of all this.
pub(super) fn tell(members: &Members) {
    match members {
        Members::Everyone => {
            tracing::info!("speakers do not watch over each other: every known node counts as alive");
        }
        Members::These(nodes) => tracing::info!(
            ?nodes,
            "the speakers that are alive are those of --speakers, whatever the flags of members say"
        ),
        Members::Watched(options) => tracing::info!(
            address = %options.address,
            beat_ms = options.detection.interval.as_millis(),
            multiplier = options.detection.multiplier,
            "speakers watch over each other"
        ),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::*;

    fn args(line: &str) -> MemberArgs {
        let command = MemberArgs::augment_args(clap::Command::new("speaker"));
        let matches = command.get_matches_from(["speaker"].into_iter().chain(line.split_whitespace()));
        MemberArgs::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn it_takes_an_address_and_a_way_to_find_others() {
        for (line, address) in [
            ("", None),
            ("--ml-bindaddr 192.0.2.1", None),
            ("--ml-labels app=metallb", None),
            ("--peers a,b", None),
            ("--ml-bindaddr 192.0.2.1 --ml-labels app=metallb", Some("192.0.2.1:7946")),
            ("--ml-bindaddr 2001:db8::1 --peers a,b:70 --ml-bindport 7", Some("[2001:db8::1]:7")),
        ] {
            let found = match args(line).members().unwrap() {
                Members::Watched(options) => Some(options.address.to_string()),
                _ => None,
            };
            assert_eq!(found.as_deref(), address, "{line}");
        }
        for line in [
            "--ml-bindport 70000",
            "--ml-bindport 0",
            "--ml-secret-key-path /nowhere",
            "--ml-bindaddr node-1 --peers a",
            "--ml-bindaddr 192.0.2.1 --peers a:b",
            "--failure-detection 9ms",
            "--failure-detection 5001ms",
            "--failure-detection soon",
        ] {
            assert!(args(line).members().is_err(), "{line}");
        }
    }

    #[test]
    fn the_flag_is_before_the_file_and_the_file_before_the_other_profile() {
        let profile = |probe| Profile { probe_interval: Duration::from_secs(probe), others: Vec::new() };
        for (line, profile, ms) in [
            ("", None, 50),
            ("--ml-wan-config", None, 200),
            ("--ml-wan-config --failure-detection 10ms", None, 10),
            ("--ml-wan-config", Some(profile(1)), 50),
            ("", Some(profile(5)), 250),
            ("", Some(profile(0)), 10),
            ("", Some(profile(1000)), 5000),
            ("--failure-detection 5s", Some(profile(1)), 5000),
        ] {
            let detection = args(line).detection(profile.as_ref()).unwrap();
            assert_eq!(detection.interval, Duration::from_millis(ms), "{line}");
            assert_eq!(detection.multiplier, 3, "{line}");
        }
    }
}

//! A stream of questions to an address, each on a connection of its own, and how long nobody answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::namespace::Namespace;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// A datagram and its echo
    Udp,
    /// A request of HTTP
    Http,
    /// A connection, and the line it begins with
    Tcp,
}

#[derive(Debug, Clone, Copy)]
pub struct Questions {
    pub to: SocketAddr,
    pub protocol: Protocol,
    /// From one to the next.
    pub every: Duration,
    /// An answer after this is none.
    pub patience: Duration,
}

impl Questions {
    pub fn new(to: SocketAddr, protocol: Protocol) -> Questions {
        Questions { to, protocol, every: Duration::from_millis(10), patience: Duration::from_secs(1) }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub asked: usize,
    pub answered: usize,
    /// Where the other side, or somebody on the way, refused or broke it off. All others without an answer met silence.
    pub broken: usize,
    /// The longest time from one question that was answered to the next, if there was one between them that was not;
    /// the beginning and the end count as answered.
    pub longest_gap_ms: f64,
    /// When that began, from the first question.
    pub longest_gap_at_ms: f64,
    /// Answers of each node.
    pub nodes: BTreeMap<String, usize>,
}

/// Questions that are being asked. Ends when it is dropped.
#[derive(Debug)]
pub struct Traffic {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<std::io::Result<Report>>>,
}

/// Questions at once; where nobody answers they are many.
const OUTSTANDING: usize = 4096;
const ANSWER_BYTES: usize = 2 << 10;

impl Traffic {
    pub(super) fn start(namespace: &Namespace, questions: Questions) -> std::io::Result<Traffic> {
        let namespace = Namespace::open(namespace.name())?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("lab-traffic".to_owned()).spawn(move || {
            namespace.enter()?;
            run(questions, async {
                let _ = stopped.await;
            })
        })?;
        Ok(Traffic { stop: Some(stop), thread: Some(thread) })
    }

    /// Asks no more, waits for the last answers, and says how it was.
    pub fn finish(mut self) -> std::io::Result<Report> {
        self.stop.take();
        let thread = self.thread.take().ok_or_else(|| std::io::Error::other("it was finished before"))?;
        thread.join().unwrap_or_else(|_| Err(std::io::Error::other("it panicked")))
    }
}

/// Asks from where this thread is, until told to stop.
pub fn run(questions: Questions, stop: impl Future<Output = ()>) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(ask(questions, stop)))
}

/// When a question was asked, and what came of it.
type Outcome = (Duration, Answer);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// The node that answered.
    Of(String),
    Broken,
    Silence,
}

async fn ask(questions: Questions, stop: impl Future<Output = ()>) -> Report {
    let mut stop = std::pin::pin!(stop);
    let mut ticks = interval(questions.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (told, mut outcomes) = mpsc::channel::<Outcome>(OUTSTANDING);
    let begun = Instant::now();
    let mut all = Vec::new();
    let mut asked = 0;
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(outcome) = outcomes.recv() => all.push(outcome),
            _ = ticks.tick(), if asked - all.len() < OUTSTANDING => {
                asked += 1;
                let told = told.clone();
                tokio::spawn(async move {
                    let at = begun.elapsed();
                    let answer = timeout(questions.patience, question(questions)).await;
                    // Whoever waits for it goes on until all have told.
                    let answer = match answer {
                        Ok(Ok(node)) => Answer::Of(node),
                        Ok(Err(_)) => Answer::Broken,
                        Err(_) => Answer::Silence,
                    };
                    let _ = told.send((at, answer)).await;
                });
            }
        }
    }
    let end = begun.elapsed();
    drop(told);
    while let Some(outcome) = outcomes.recv().await {
        all.push(outcome);
    }
    Report::of(all, end)
}

impl Report {
    fn of(mut outcomes: Vec<Outcome>, end: Duration) -> Report {
        outcomes.sort();
        let mut report = Report { asked: outcomes.len(), ..Report::default() };
        let (mut since, mut is_gap) = (Duration::ZERO, false);
        let close = |from: Duration, to: Duration, report: &mut Report| {
            let gap_ms = (to - from).as_secs_f64() * 1000.0;
            if gap_ms > report.longest_gap_ms {
                (report.longest_gap_ms, report.longest_gap_at_ms) = (gap_ms, from.as_secs_f64() * 1000.0);
            }
        };
        for (at, answer) in outcomes {
            let Answer::Of(node) = answer else {
                report.broken += usize::from(answer == Answer::Broken);
                is_gap = true;
                continue;
            };
            if std::mem::take(&mut is_gap) {
                close(since, at, &mut report);
            }
            since = at;
            report.answered += 1;
            *report.nodes.entry(node).or_default() += 1;
        }
        if is_gap {
            close(since, end.max(since), &mut report);
        }
        report
    }
}

/// Who answered.
async fn question(questions: Questions) -> std::io::Result<String> {
    let Questions { to, protocol, .. } = questions;
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    match protocol {
        Protocol::Udp => {
            let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(to).await?;
            socket.send(b"?").await?;
            socket.recv_buf(&mut answer).await?;
        }
        Protocol::Http => {
            let mut stream = TcpStream::connect(to).await?;
            let request = format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            while answer.len() < ANSWER_BYTES && stream.read_buf(&mut answer).await? > 0 {}
        }
        Protocol::Tcp => {
            let mut stream = TcpStream::connect(to).await?;
            while !answer.contains(&b'\n')
                && answer.len() < ANSWER_BYTES
                && stream.read_buf(&mut answer).await? > 0
            {}
        }
    }
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(name_in(&String::from_utf8_lossy(&answer)))
}

/// As the servers of a lab say it; others have no name.
fn name_in(answer: &str) -> String {
    let named = answer.split_once("node=").map_or(answer, |(_, rest)| rest);
    let name = named.split(char::is_whitespace).next().unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '-');
    if is_name { name.to_owned() } else { "?".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_between_answers_with_a_question_lost_between_them() {
        let millis = Duration::from_millis;
        let by = |node: &str| Answer::Of(node.to_owned());
        for (case, outcomes, expected) in [
            ("nothing asked", vec![], (0.0, 0.0)),
            (
                "a pause of the one who asks is none",
                vec![(millis(0), by("a")), (millis(90), by("a"))],
                (0.0, 0.0),
            ),
            (
                "in between",
                vec![
                    (millis(0), by("a")),
                    (millis(30), by("b")),
                    (millis(10), Answer::Silence),
                    (millis(20), Answer::Broken),
                    (millis(40), Answer::Silence),
                    (millis(50), by("b")),
                ],
                (30.0, 0.0),
            ),
            (
                "at the end",
                vec![(millis(0), by("a")), (millis(10), by("a")), (millis(20), Answer::Silence)],
                (90.0, 10.0),
            ),
            ("all the time", vec![(millis(5), Answer::Silence)], (100.0, 0.0)),
        ] {
            let report = Report::of(outcomes, millis(100));
            assert_eq!((report.longest_gap_ms, report.longest_gap_at_ms), expected, "{case}");
        }
    }

    #[test]
    fn who_answers_says_its_name_in_one_of_three_ways() {
        for (answer, name) in [
            ("HTTP/1.1 200 OK\r\n\r\nnode=node-2 client=10.10.0.2\n", "node-2"),
            ("node-1 ?", "node-1"),
            ("node-3\n", "node-3"),
            ("<html>", "?"),
        ] {
            assert_eq!(name_in(answer), name);
        }
    }
}

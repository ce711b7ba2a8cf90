//! How other processes have a lab do something: an order and its answer, a line of JSON each, over a socket in its folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folder::{is_released, path_of};
use super::wires::Cut;
use super::{Error, Lab};

/// An order is short; a status names every member.
const LINE_BYTES: u64 = 1 << 20;
const ORDER_WAIT: Duration = Duration::from_secs(5);
/// The slowest order waits for speakers to start.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const CHECK: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub enum Order {
    Status,
    Down,
    KillSpeaker { node: String },
    EndSpeaker { node: String },
    StartSpeaker { node: String },
    Freeze { node: String },
    Resume { node: String },
    Cut { member: String, cut: Cut },
    Restore { member: String },
    Partition { groups: Vec<Vec<String>> },
    Drain { node: String },
    Undrain { node: String },
    Backend { node: String, is_running: bool },
    AskRouter { member: String, line: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Done(Value),
    Failed(String),
}

/// A lab that takes orders of other processes.
#[derive(Debug)]
pub struct Orders {
    lab: Arc<Lab>,
    down: mpsc::Receiver<()>,
    end: mpsc::Sender<()>,
}

impl Orders {
    pub fn take(lab: Lab) -> Result<Orders, Error> {
        let path = lab.folder_path().join(SOCKET);
        let failed = |error: std::io::Error| Error::Folder { path: path.clone(), reason: error.to_string() };
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let lab = Arc::new(lab);
        let (end, down) = mpsc::channel();
        let (taker, told) = (Arc::downgrade(&lab), end.clone());
        let serving = move || {
            for stream in listener.incoming() {
                let Some(lab) = taker.upgrade() else { return };
                let told = told.clone();
                // One at a time: whoever breaks two things at once cannot know what came first.
                if let Ok(stream) = stream {
                    serve(&stream, &lab, &told);
                }
            }
        };
        std::thread::Builder::new().name("lab-orders".to_owned()).spawn(serving).map_err(failed)?;
        Ok(Orders { lab, down, end })
    }

    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// To end it from elsewhere in this process.
    pub fn ender(&self) -> impl Fn() + Send + 'static {
        let end = self.end.clone();
        move || {
            // Nobody listens where it ends already.
            let _ = end.send(());
        }
    }

    /// Goes on until somebody orders it down, and takes it down.
    pub fn run(self) -> Result<(), Error> {
        let _ = self.down.recv();
        let mut lab = self.lab;
        // The last order may still be answered.
        let lab = loop {
            match Arc::try_unwrap(lab) {
                Ok(lab) => break lab,
                Err(shared) => lab = shared,
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        lab.down()
    }
}

const SOCKET: &str = "orders.sock";

fn serve(stream: &UnixStream, lab: &Lab, end: &mpsc::Sender<()>) {
    let answer = match read(stream) {
        Ok(Order::Down) => {
            let _ = end.send(());
            Answer::Done(Value::Null)
        }
        Ok(order) => match lab.carry_out(order) {
            Ok(value) => Answer::Done(value),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Err(error) => Answer::Failed(format!("the order cannot be read: {error}")),
    };
    let mut line = serde_json::to_vec(&answer).unwrap_or_default();
    line.push(b'\n');
    // Whoever asked may have gone.
    let _ = (&mut &*stream).write_all(&line);
}

fn read(stream: &UnixStream) -> std::io::Result<Order> {
    stream.set_read_timeout(Some(ORDER_WAIT))?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Has the lab of that name do something.
pub fn ask(name: &str, order: &Order) -> Result<Value, Error> {
    super::options::check_name(name)?;
    let path = path_of(name).join(SOCKET);
    let not_running = |_| Error::NotRunning { name: name.to_owned() };
    let stream = UnixStream::connect(&path).map_err(not_running)?;
    let act = || -> std::io::Result<Answer> {
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        (&stream).write_all(&line)?;
        let mut answer = String::new();
        BufReader::new((&stream).take(LINE_BYTES)).read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    };
    match act() {
        Ok(Answer::Done(value)) => Ok(value),
        Ok(Answer::Failed(reason)) => Err(Error::Remote(reason)),
        Err(error) => Err(Error::Folder { path, reason: error.to_string() }),
    }
}

/// Takes the lab of that name down, and waits until nothing is left of it.
pub fn take_down(name: &str) -> Result<(), Error> {
    ask(name, &Order::Down)?;
    let until = Instant::now() + ANSWER_WAIT;
    while !is_released(name)? {
        if Instant::now() > until {
            return Err(Error::Remote(format!("the lab {name} still runs")));
        }
        std::thread::sleep(CHECK);
    }
    Ok(())
}

impl Lab {
    fn carry_out(&self, order: Order) -> Result<Value, Error> {
        match order {
            Order::Status => {
                let status = serde_json::to_value(self.status());
                return status.map_err(|error| Error::Remote(error.to_string()));
            }
            Order::AskRouter { member, line } => return self.ask_router(&member, &line).map(Value::String),
            Order::Down => Ok(()),
            Order::KillSpeaker { node } => self.kill_speaker(&node),
            Order::EndSpeaker { node } => self.end_speaker(&node),
            Order::StartSpeaker { node } => self.start_speaker(&node),
            Order::Freeze { node } => self.freeze(&node),
            Order::Resume { node } => self.resume(&node),
            Order::Cut { member, cut } => self.cut(&member, cut),
            Order::Restore { member } => self.restore(&member),
            Order::Partition { groups } => self.partition(&groups),
            Order::Drain { node } => self.drain(&node),
            Order::Undrain { node } => self.undrain(&node),
            Order::Backend { node, is_running } => self.set_backend(&node, is_running),
        }
        .map(|()| Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_lines_that_come_back_as_they_were() {
        let order = Order::Cut { member: "node-1".to_owned(), cut: Cut::Silent };
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(text, r#"{"do":"cut","member":"node-1","cut":"silent"}"#);
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
        assert!(serde_json::from_str::<Order>(r#"{"do":"explode"}"#).is_err());
    }
}

//! One request and its answer, over whatever the client is connected to.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{Stream, StreamExt};
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use tokio::time::timeout;

use crate::world::World;

/// What was answered, as it was.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u16,
    pub content_type: String,
    pub warnings: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A watch that was opened: what is left of its answer, line by line.
pub struct Lines {
    chunks: std::pin::Pin<Box<dyn Stream<Item = Result<Vec<u8>, String>> + Send>>,
    buffer: Vec<u8>,
    patience: Duration,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lines").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// Headers that clients act upon, beside the content type and the warnings.
const TOLD: [&str; 3] = ["location", "retry-after", "www-authenticate"];

pub async fn send(world: &World, request: Request<Body>) -> anyhow::Result<Answer> {
    let (mut answer, body) = open(world, request).await?;
    answer.body =
        timeout(world.patience(), body.collect_bytes()).await.context("no end of the answer")??.to_vec();
    Ok(answer)
}

/// A stream if the server opens one, and else the whole answer.
pub async fn stream(world: &World, request: Request<Body>) -> anyhow::Result<(Answer, Option<Lines>)> {
    let (mut answer, body) = open(world, request).await?;
    if answer.code != 200 {
        answer.body =
            timeout(world.patience(), body.collect_bytes()).await.context("no end of the answer")??.to_vec();
        return Ok((answer, None));
    }
    let chunks = body.into_data_stream().map(|chunk| match chunk {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) => Err(error.to_string()),
    });
    Ok((answer, Some(Lines { chunks: chunks.boxed(), buffer: Vec::new(), patience: world.patience() })))
}

async fn open(world: &World, request: Request<Body>) -> anyhow::Result<(Answer, Body)> {
    let response: Response<Body> =
        timeout(world.patience(), world.client().send(request)).await.context("no answer")??;
    let (parts, body) = response.into_parts();
    let texts = |name: &str| -> Vec<String> {
        let values = parts.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    let told = TOLD.iter().flat_map(|name| texts(name).into_iter().map(|value| ((*name).to_owned(), value)));
    let answer = Answer {
        code: parts.status.as_u16(),
        content_type: texts("content-type").join(", "),
        warnings: texts("warning"),
        headers: told.collect(),
        body: Vec::new(),
    };
    Ok((answer, body))
}

impl Lines {
    /// The next event; nothing when the server has ended the stream.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(serde_json::from_str(&text).with_context(|| text.into_owned())?));
            }
            match timeout(self.patience, self.chunks.next()).await.context("no event came")? {
                Some(Ok(bytes)) => self.buffer.extend(bytes),
                Some(Err(error)) => bail!("the stream broke: {error}"),
                None if self.buffer.is_empty() => return Ok(None),
                None => bail!("the stream ended inside an event"),
            }
        }
    }
}

//! Requests as they are: what was answered, or that nothing was.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

#[derive(Clone)]
pub(crate) struct Api(kube::Client);

/// The connection ended first, so nobody knows what has become of the request.
#[derive(Debug)]
pub(crate) struct Unanswered;

impl Api {
    pub(crate) async fn new(data: &str) -> Api {
        let file = Kubeconfig::read_from(format!("{data}/admin.kubeconfig")).expect("the server wrote it");
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await.expect("it is complete");
        Api(kube::Client::try_from(config).expect("it can be used"))
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Unanswered> {
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string().into_bytes()));
        let request = Request::builder().method(method).uri(path).header("content-type", media).body(body);
        let response = self.0.send(request.expect("it is well-formed")).await.map_err(|_| Unanswered)?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.map_err(|_| Unanswered)?.to_bytes();
        Ok((code, serde_json::from_slice(&bytes).map_err(|_| Unanswered)?))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Value), Unanswered> {
        self.ask(Method::GET, path, "", None).await
    }

    /// The events of a watch, until it ends; or with what it was refused.
    pub(crate) async fn watch(
        &self,
        path: &str,
    ) -> Result<Result<BoxStream<'static, Value>, u16>, Unanswered> {
        let request = Request::get(path).body(Body::empty()).expect("it is well-formed");
        let response = self.0.send(request).await.map_err(|_| Unanswered)?;
        if response.status() != 200 {
            return Ok(Err(response.status().as_u16()));
        }
        let chunks = response.into_body().into_data_stream();
        let lines = chunks.take_while(|chunk| std::future::ready(chunk.is_ok())).scan(
            Vec::new(),
            |kept: &mut Vec<u8>, chunk| {
                kept.extend_from_slice(&chunk.unwrap_or_default());
                let whole = kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                let lines: Vec<u8> = kept.drain(..whole).collect();
                let events: Vec<Value> = serde_json::Deserializer::from_slice(&lines)
                    .into_iter()
                    .map(|event| event.expect("a line is an event"))
                    .collect();
                std::future::ready(Some(futures_util::stream::iter(events)))
            },
        );
        Ok(Ok(lines.flatten().boxed()))
    }
}

/// The version of an object or of a list.
pub(crate) fn revision(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.and_then(|version| version.parse().ok()).unwrap_or_else(|| panic!("no version: {object}"))
}

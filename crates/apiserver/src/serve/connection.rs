//! One connection: its handshake, its requests, and its end, which comes when nobody uses it or the server stops.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{Bounds, Stream, Transport};
use crate::auth::ClientCertificate;
use crate::server::{LIMITS, Reached};

/// What a connection needs to be served.
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) bounds: Bounds,
    pub(super) router: Router,
    /// Becomes true when the server stops.
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) async fn run(self, stream: Stream) {
        let stream = match stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => return self.converse(stream, None).await,
        };
        // A request is small, and an answer should not wait for more of it.
        let _ = stream.set_nodelay(true);
        let (config, tls) = match &self.transport {
            Transport::Plain => return self.converse(stream, None).await,
            Transport::Tls(config) => (Arc::clone(config), None),
            Transport::Identified(tls) => (Arc::clone(&tls.config), Some(tls.clone())),
        };
        let shaken = timeout(self.bounds.handshake_time, TlsAcceptor::from(config).accept(stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!("TLS handshake: {error}"),
            Err(_) => {
                Reached::HandshakeTime.count();
                return tracing::debug!("TLS handshake: it took too long");
            }
        };
        let certificate = tls.and_then(|tls| tls.judge(stream.get_ref().1.peer_certificates()));
        self.converse(stream, certificate).await;
    }

    async fn converse(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certificate: Option<ClientCertificate>,
    ) {
        let (router, uses, stopped) = (self.router, Arc::new(Uses::default()), self.stopped.clone());
        let counted = Arc::clone(&uses);
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            let (answer, used) = (router.clone().oneshot(request), Use::begin(&counted));
            let stopped = stopped.clone();
            async move { answer.await.map(|response| in_use(response, used, stopped)) }
        });
        let builder = builder(&self.bounds);
        let mut serving =
            pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        let outcome = tokio::select! {
            outcome = serving.as_mut() => outcome,
            () = ended(uses.idle(self.bounds.idle_time), &mut self.stopped) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!("a connection ended: {error}");
        }
        drop(self.place);
    }
}

/// Ready when nobody uses the connection, or the server stops.
async fn ended(idle: impl Future<Output = ()>, stopped: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = idle => {}
        // A server that is gone without having said so has stopped too.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

fn builder(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle_time)
        .max_buf_size(bounds.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(LIMITS.streams)
        .keep_alive_interval(LIMITS.ping_every)
        .keep_alive_timeout(LIMITS.ping_time);
    if bounds.has_http2 { builder } else { builder.http1_only() }
}

/// How many requests there are on a connection.
#[derive(Default)]
struct Uses {
    count: AtomicUsize,
    changed: Notify,
}

/// One of them, until its answer is sent.
struct Use(Arc<Uses>);

impl Uses {
    /// Ready when there has been no request for as long as that is allowed.
    async fn idle(&self, idle_time: Duration) {
        loop {
            let changed = self.changed.notified();
            if self.count.load(Ordering::Acquire) > 0 {
                changed.await;
            } else if timeout(idle_time, changed).await.is_err() {
                return;
            }
        }
    }
}

impl Use {
    fn begin(uses: &Arc<Uses>) -> Use {
        uses.count.fetch_add(1, Ordering::AcqRel);
        uses.changed.notify_one();
        Use(Arc::clone(uses))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer on a connection. One without a known end, which is a watch, ends when the server stops.
struct InUse {
    body: Body,
    stopped: Option<Stopped>,
    _used: Use,
}

fn in_use(response: Response, used: Use, mut stopped: watch::Receiver<bool>) -> Response<InUse> {
    response.map(|body| {
        let is_endless = body.size_hint().exact().is_none();
        let stopped = is_endless.then(|| -> Stopped {
            Box::pin(async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            })
        });
        InUse { body, stopped, _used: used }
    })
}

impl HttpBody for InUse {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(stopped) = &mut self.stopped
            && stopped.as_mut().poll(context).is_ready()
        {
            self.stopped = None;
            self.body = Body::empty();
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

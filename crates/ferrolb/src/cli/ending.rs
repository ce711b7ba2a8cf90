//! How a program that goes on until it is told to end is told.

use tokio::signal::unix::{SignalKind, signal};

/// Comes to its end with SIGTERM or SIGINT. From the call on neither is lost.
pub(super) fn told() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("ending because of {name}");
    })
}

//! Brings images from one engine to others that lack them, without a registry: streamed, nothing is kept on a disk here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::query_parameters::ImportImageOptionsBuilder;
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::{Engine, Engines, ImageEvent};
use crate::cluster::ClusterError;

/// How long an engine may take for all images: a load answers at its end.
const LOAD_TIMEOUT: Duration = Duration::from_secs(3600);
/// Progress is told after this many bytes.
const STEP_BYTES: u64 = 32 * 1024 * 1024;

/// Copies the images that an engine lacks from the manager to it, all engines at once.
///
/// # Errors
/// When an engine refuses; names its host.
pub async fn spread(
    engines: &Engines,
    images: &BTreeMap<String, String>,
    say: &(dyn Fn(ImageEvent) + Sync),
) -> Result<(), ClusterError> {
    let manager = engines.manager();
    let to_one = async |host: Option<&str>, engine: &Engine| copy(manager, engine, host, images, say).await;
    let others = engines.iter().filter(|(_, engine)| !engine.is_same_as(manager));
    let copied = futures::future::join_all(others.map(|(host, engine)| to_one(host, engine))).await;
    copied.into_iter().collect()
}

async fn copy(
    from: &Engine,
    to: &Engine,
    host: Option<&str>,
    images: &BTreeMap<String, String>,
    say: &(dyn Fn(ImageEvent) + Sync),
) -> Result<(), ClusterError> {
    let host = host.unwrap_or("the other engine");
    let mut lacking = Vec::new();
    for reference in images.values() {
        // A load reads even what is there.
        if !to.has_image(reference).await && !lacking.contains(&reference.as_str()) {
            lacking.push(reference.as_str());
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let what = format!("images for {host}");
    say(ImageEvent::progress(&what, format!("sending {}", lacking.len())));
    let failed = |error: bollard::errors::Error| {
        ClusterError::new(format!("sending {what} from the manager"), error.to_string())
            .advise("run it again: what has arrived is kept")
    };
    // All in one call, because images share layers.
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let exporter = from.docker.clone().with_timeout(LOAD_TIMEOUT);
    // The export borrows its names, and the import wants a stream that borrows nothing.
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let export = async {
        let mut exported = std::pin::pin!(exporter.export_images(&lacking));
        while let Some(part) = exported.next().await {
            let bytes = part.as_ref().map_or(0, |part| part.len() as u64);
            let before = counter.fetch_add(bytes, Ordering::Relaxed);
            if (before + bytes) / STEP_BYTES > before / STEP_BYTES {
                say(ImageEvent::progress(&what, format!("{} MB", (before + bytes) / 1_000_000)));
            }
            if sender.send(part).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let body =
        futures::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|part| (part, receiver)) });
    let docker = to.docker.clone().with_timeout(LOAD_TIMEOUT);
    let options = ImportImageOptionsBuilder::new().quiet(true).build();
    let import = docker.import_image_stream(options, body, None).try_for_each(|_| async { Ok(()) });
    let late =
        |_| ClusterError::new(format!("sending {what}"), format!("it took longer than {} s", LOAD_TIMEOUT.as_secs()));
    let ((), imported) = timeout(LOAD_TIMEOUT, async { tokio::join!(export, import) }).await.map_err(late)?;
    imported.map_err(failed)?;
    say(ImageEvent::progress(&what, format!("sent, {} MB", sent.load(Ordering::Relaxed) / 1_000_000)));
    for reference in lacking {
        let arrived = to.docker.inspect_image(reference).await;
        arrived.map_err(|error| {
            ClusterError::new(format!("sending {reference} to {host}"), format!("it has not arrived: {error}"))
        })?;
    }
    Ok(())
}

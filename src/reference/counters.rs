//! Counts the bytes that a node sends and receives, by network, at its sockets, so without TCP and IP headers. The
//! counters belong to the process, as an interface's counters belong to its container.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::history::Traffic;

/// Bytes of one kind of traffic.
#[derive(Debug)]
pub struct Counter {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counter {
    const fn new() -> Self {
        Self { received: AtomicU64::new(0), sent: AtomicU64::new(0) }
    }

    fn traffic(&self) -> Traffic {
        Traffic { received_bytes: self.received.load(Ordering::Relaxed), sent_bytes: self.sent.load(Ordering::Relaxed) }
    }
}

/// Requests from clients or from the balancer, and from the balancer to app nodes.
pub static FRONT: Counter = Counter::new();
/// A balancer's traffic with clients; it is front traffic too.
pub static CLIENTS: Counter = Counter::new();
/// Between app nodes.
pub static CLUSTER: Counter = Counter::new();
/// Between app nodes and store.
pub static STORE: Counter = Counter::new();

/// All counters of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The front network, without a balancer's traffic with clients.
    pub front: Traffic,
    /// A balancer's traffic with clients.
    pub clients: Traffic,
    /// The cluster network.
    pub cluster: Traffic,
    /// The store network.
    pub store: Traffic,
}

impl Counts {
    /// The counts so far.
    #[must_use]
    pub fn now() -> Self {
        Self { front: FRONT.traffic(), clients: CLIENTS.traffic(), cluster: CLUSTER.traffic(), store: STORE.traffic() }
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    counter: &'static Counter,
}

impl<S> Counted<S> {
    /// Counts the bytes that pass through `stream` from now on.
    pub const fn new(stream: S, counter: &'static Counter) -> Self {
        Self { stream, counter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.counter.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = result {
            self.counter.sent.fetch_add(written as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(written)) = result {
            self.counter.sent.fetch_add(written as u64, Ordering::Relaxed);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

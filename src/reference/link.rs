//! Questions and answers between nodes over one TCP connection. A frame has a length, a number that links the answer to
//! its question, and the message. Many questions can be in flight; the other side handles them in the order in which
//! they were sent. A frame that is too long or too short only ends the connection.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::counters::{Counted, Counter};

/// Limit of a frame; a session's payload has at most 4 MiB.
const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// The other side counts as gone if a question has no answer within this time: a stopped process keeps its connections
/// open, and its kernel still accepts data.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The other side is gone; it may or may not have done what was asked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Gone {
    /// Its end of the connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The connection is open, and nobody answers.
    #[error("there was no answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Silent,
}

type Stream<S> = Framed<Counted<S>, LengthDelimitedCodec>;
type Waiting = Rc<RefCell<HashMap<u64, oneshot::Sender<Bytes>>>>;

/// The asking end. Dropping it closes the connection.
pub struct Link {
    outgoing: mpsc::UnboundedSender<Bytes>,
    waiting: Waiting,
    next: Cell<u64>,
    open: watch::Receiver<bool>,
    tasks: [AbortHandle; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.waiting.borrow_mut().clear();
    }
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there, or connecting takes too long.
    pub async fn connect(address: SocketAddrV4, counter: &'static Counter) -> io::Result<Self> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream, counter))
    }

    fn over(stream: TcpStream, counter: &'static Counter) -> Self {
        let (sink, source) = framed(stream, counter).split();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (closed, open) = watch::channel(true);
        let waiting = Waiting::default();
        let writer = spawn_local(write(sink, queue));
        let reader = spawn_local(read_answers(source, Rc::clone(&waiting), closed));
        Self { outgoing, waiting, next: Cell::new(0), open, tasks: [writer.abort_handle(), reader.abort_handle()] }
    }

    /// Sends a question, in the order of the calls, and waits for the answer.
    ///
    /// # Errors
    /// When the other side is gone.
    pub async fn ask(&self, message: &[u8]) -> Result<Bytes, Gone> {
        let answer = self.send(message);
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Gone::Closed),
            Err(_) => Err(Gone::Silent),
        }
    }

    /// Sends a question now. The caller can wait for the answer later, or never.
    pub fn send(&self, message: &[u8]) -> oneshot::Receiver<Bytes> {
        let number = self.next.replace(self.next.get() + 1);
        let (sender, answer) = oneshot::channel();
        if *self.open.borrow() {
            self.waiting.borrow_mut().insert(number, sender);
            let mut frame = BytesMut::with_capacity(8 + message.len());
            frame.put_u64(number);
            frame.put_slice(message);
            let _ = self.outgoing.send(frame.freeze());
        }
        answer
    }

    /// Whether the connection is open, as far as this end knows.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until the connection is closed.
    pub async fn closed(&self) {
        let mut open = self.open.clone();
        let _ = open.wait_for(|open| !open).await;
    }
}

fn framed<S: AsyncRead + AsyncWrite>(stream: S, counter: &'static Counter) -> Stream<S> {
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME_BYTES).new_codec();
    Framed::new(Counted::new(stream, counter), codec)
}

async fn write(mut sink: SplitSink<Stream<TcpStream>, Bytes>, mut queue: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(frame) = queue.recv().await {
        if sink.feed(frame).await.is_err() {
            return;
        }
        // Frames that were queued meanwhile are sent with the same flush.
        while let Ok(frame) = queue.try_recv() {
            if sink.feed(frame).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

async fn read_answers(mut source: SplitStream<Stream<TcpStream>>, waiting: Waiting, closed: watch::Sender<bool>) {
    while let Some(Ok(mut frame)) = source.next().await {
        let Ok(number) = frame.try_get_u64() else { break };
        if let Some(asker) = waiting.borrow_mut().remove(&number) {
            let _ = asker.send(frame.freeze());
        }
    }
    let _ = closed.send(false);
    waiting.borrow_mut().clear();
}

/// The answering end: passes each question to `answer`, one after the other, until the connection ends or a message
/// cannot be decoded.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    counter: &'static Counter,
    answer: impl AsyncFn(Bytes) -> Result<Bytes, Misunderstood>,
) {
    let mut frames = framed(stream, counter);
    while let Some(Ok(mut frame)) = frames.next().await {
        let Ok(number) = frame.try_get_u64() else { return };
        let Ok(answer) = answer(frame.freeze()).await else { return };
        let mut reply = BytesMut::with_capacity(8 + answer.len());
        reply.put_u64(number);
        reply.put_slice(&answer);
        if frames.send(reply.freeze()).await.is_err() {
            return;
        }
    }
}

/// A message that the protocol does not have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a message of the protocol")]
pub struct Misunderstood;

/// A message as bytes.
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    postcard::to_stdvec(message).map_or_else(|_| Bytes::new(), Bytes::from)
}

/// Bytes as a message.
///
/// # Errors
/// When the bytes are no message of this type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Misunderstood> {
    postcard::from_bytes(bytes).map_err(|_| Misunderstood)
}

//! The store's process: a table in memory, and the file beside it where it is durable.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::spawn_local;

use super::append_only::AppendOnly;
use super::protocol::{Reply, Request};
use crate::reference::app::session::SessionId;
use crate::reference::config::{Durability, StoreConfig};
use crate::reference::counters::STORE;
use crate::reference::link::{self, Misunderstood, decode, encode};

/// Everything that is kept.
struct Table {
    sessions: HashMap<SessionId, Bytes>,
    file: Option<AppendOnly>,
}

impl Table {
    fn open(durability: Durability, path: &Path) -> std::io::Result<Self> {
        let mut sessions = HashMap::new();
        let file = match durability {
            Durability::None => None,
            Durability::AppendOnly => Some(AppendOnly::open(path, |request| drop(apply(&mut sessions, request)))?),
        };
        Ok(Self { sessions, file })
    }

    fn answer(&mut self, request: Request) -> Reply {
        if let (Some(file), Request::Put(..) | Request::Remove(_)) = (&mut self.file, &request)
            && let Err(error) = file.append(&request)
        {
            return Reply::Failed(format!("the append-only file: {error}"));
        }
        apply(&mut self.sessions, request)
    }
}

fn apply(sessions: &mut HashMap<SessionId, Bytes>, request: Request) -> Reply {
    match request {
        Request::Ping => Reply::Done,
        Request::Get(id) => Reply::Found(sessions.get(&id).cloned()),
        Request::Put(id, bytes) => {
            sessions.insert(id, bytes);
            Reply::Done
        }
        Request::Remove(id) => Reply::Removed(sessions.remove(&id).is_some()),
    }
}

/// Serves app nodes for as long as it is polled.
///
/// # Errors
/// When its port is taken or its file cannot be used.
pub async fn run(config: &StoreConfig, file: &Path) -> Result<(), String> {
    let table = Table::open(config.durability, file).map_err(|error| format!("{}: {error}", file.display()))?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let table = Rc::new(RefCell::new(table));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let table = Rc::clone(&table);
        spawn_local(async move {
            let answer = async |message: Bytes| {
                let request = decode(&message)?;
                Ok::<_, Misunderstood>(encode(&table.borrow_mut().answer(request)))
            };
            link::serve(stream, &STORE, answer).await;
        });
    }
}

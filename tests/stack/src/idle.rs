//! Many connections that do nothing, to see what each costs a server in memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::task::JoinSet;

use crate::link::{Io, Link};

/// Handshakes at once.
const AT_ONCE: usize = 32;

/// Connections, each of which has been used for one request and is kept open.
pub struct Idle(Vec<Box<dyn Io>>);

impl Idle {
    /// Opens `count` of them and asks for `path` once on each, whose body must be `length` bytes long.
    ///
    /// # Errors
    /// A connection that fails, or the first answer that is not 200.
    pub async fn open(link: &Link, path: &str, length: usize, count: usize) -> Result<Self, String> {
        let mut open = Vec::with_capacity(count);
        let mut opening = JoinSet::new();
        for _ in 0..count {
            if opening.len() >= AT_ONCE
                && let Some(opened) = opening.join_next().await
            {
                open.push(opened.map_err(|e| e.to_string())??);
            }
            let (link, path) = (link.clone(), path.to_owned());
            opening.spawn(async move { one(&link, &path, length).await });
        }
        while let Some(opened) = opening.join_next().await {
            open.push(opened.map_err(|e| e.to_string())??);
        }
        Ok(Self(open))
    }

    /// How many the server has not closed.
    pub async fn still_open(&mut self) -> usize {
        let mut open = 0;
        for io in &mut self.0 {
            let mut byte = [0];
            let look =
                poll_fn(|cx| Poll::Ready(Pin::new(&mut *io).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()));
            // Tokio's budget would make everything pending after a while.
            open += usize::from(tokio::task::unconstrained(look).await);
        }
        open
    }
}

async fn one(link: &Link, path: &str, length: usize) -> Result<Box<dyn Io>, String> {
    let mut io = link.connect().await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", link.address);
    io.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
    io.flush().await.map_err(|e| e.to_string())?;
    let mut answer = Vec::with_capacity(length + 1024);
    loop {
        if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n")
            && answer.len() >= end + 4 + length
        {
            break;
        }
        if io.read_buf(&mut answer).await.map_err(|e| e.to_string())? == 0 {
            return Err("the connection was closed in the middle of an answer".to_owned());
        }
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned());
    }
    Ok(io)
}

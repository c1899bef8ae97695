//! An app that says which names are its creators', and counts how often it is asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) struct App {
    pub(crate) address: SocketAddr,
    /// What it answers to the question; 0 closes the connection.
    status: watch::Sender<u16>,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (status, says) = watch::channel(200);
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (says, all) = (says.clone(), Arc::clone(&all));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8_lossy(&head);
                    let target = head.split(' ').nth(1).unwrap_or_default();
                    let status = match target.split_once("/tls-ask?domain=") {
                        Some((_, name)) => {
                            all.lock().unwrap().push(name.to_owned());
                            *says.borrow()
                        }
                        None => 200,
                    };
                    if status > 0 {
                        let said =
                            format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                        let _ = stream.write_all(said.as_bytes()).await;
                    }
                });
            }
        });
        Self { address, status, asked, task }
    }

    /// What it answers to the question from now on.
    pub(crate) fn says(&self, status: u16) {
        self.status.send_replace(status);
    }

    /// The names that it has been asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Nobody listens any more.
    pub(crate) async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

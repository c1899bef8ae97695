//! Runs the demo site alone: `demo [ADDRESS]`, where the address is `127.0.0.1:3000` by default, or `unix:PATH`.

use std::io;

use demo::{Options, prompt, serve};
use tokio::net::{TcpListener, UnixListener};

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    // Alone, nobody else serves the stylesheet.
    let options = Options { serve_static: true, ..Options::default() };
    if let Some(path) = address.strip_prefix("unix:") {
        let listener = UnixListener::bind(path)?;
        println!("demo listens on unix:{path}");
        serve(listener, options).await;
    } else {
        let listener = TcpListener::bind(&address).await?;
        println!("demo listens on http://{}/", listener.local_addr()?);
        serve(prompt(listener), options).await;
    }
    Ok(())
}

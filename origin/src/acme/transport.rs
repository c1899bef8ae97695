//! HTTP to the CA.

use std::pin::Pin;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::web::Client;

#[derive(Clone)]
pub(super) struct Transport(pub(super) Client);

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let answer = client.send(request).await.map_err(Error::Other)?;
            Ok(BytesResponse::from(answer.map(Full::new)))
        })
    }
}

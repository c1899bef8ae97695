//! How an app asks the gateway for what it needs of object storage, on the gateway's private listener: URLs to read and write by, uploads in
//! one go or in parts, and what Git LFS clients are told.
//!
//! ```no_run
//! # async fn run() -> Result<(), client::Error> {
//! use client::{Gateway, NewUpload};
//!
//! let gateway = Gateway::at("unix:/run/origin/admin.sock", None)?;
//! // Someone wants to upload a file. The app has checked that they may.
//! let begun = gateway
//!     .begin(&NewUpload {
//!         bucket: "user-files".into(),
//!         key: "users/1/tide.wav".into(),
//!         content_type: "audio/wav".into(),
//!         length: 200 << 20,
//!         expires: None,
//!     })
//!     .await?;
//! // The app keeps `begun.upload` beside its own record. The browser gets URLs of parts, and puts them to the bucket.
//! let parts = gateway.parts(&begun.upload, &[1, 2, 3]).await?;
//! // After a broken connection, or a restart of anything: what is there, and what is still missing.
//! let listed = gateway.list(&begun.upload).await?;
//! // All parts are there.
//! let stored = gateway.complete(&begun.upload).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The shapes are those of `docs/openapi.json`. What holds a presigned URL does not show it in its `Debug`: whoever has one may read or write.

mod gateway;
pub mod lfs;
mod secret;
mod signing;
mod uploads;

pub use gateway::{Error, Gateway, Problem};
pub use secret::Presigned;
pub use signing::{Batch, Disposition, Download, Form, Method, Outcome, Refused, Scan, Signed, Upload, Wanted};
pub use uploads::{Begun, Listed, Multipart, NewUpload, Part, Parts, Release, Stored, Ticket, TicketOnly, Version};

//! The public pages. They hold nothing personal, so any cache may keep them; who is signed in comes by an HTMX fragment.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use crate::{
    Demo, api,
    cover::cover,
    renders::Stamp,
    site::{self, CREATORS, Creator, Work},
};

/// Works on one page of a creator's list.
const WORKS_A_PAGE: usize = 4;

impl Creator {
    /// Their cover art, as inline SVG.
    fn art(&self) -> String {
        cover(self.motif, self.palette, self.slug)
    }

    /// A work's cover art, as inline SVG.
    fn art_of(&self, work: &Work) -> String {
        cover(self.motif, self.palette, work.slug)
    }
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    stamp: Option<Stamp>,
    creators: &'static [Creator],
    latest: Vec<(&'static Creator, &'static Work)>,
}

/// `GET /`.
pub(crate) async fn home(State(demo): State<Demo>, request: HeaderMap) -> Response {
    demo.shared.renders.answer("/", "home,creators", None, &request, |stamp| {
        let mut latest: Vec<_> = CREATORS.iter().filter_map(|it| it.works.first().map(|work| (it, work))).collect();
        latest.sort_by_key(|(_, work)| std::cmp::Reverse(work.year));
        HomePage { stamp: Some(stamp), creators: CREATORS, latest }.render()
    })
}

/// One page of a creator's works, and where the next one is.
struct Shelf {
    creator: &'static Creator,
    works: &'static [Work],
    page: usize,
    pages: usize,
}

impl Shelf {
    /// Page `page`, counted from 1.
    fn new(creator: &'static Creator, page: usize) -> Option<Self> {
        let works = creator.works.chunks(WORKS_A_PAGE).nth(page.checked_sub(1)?)?;
        Some(Self { creator, works, page, pages: creator.works.len().div_ceil(WORKS_A_PAGE) })
    }

    fn newer(&self) -> String {
        self.href(self.page - 1)
    }

    fn older(&self) -> String {
        self.href(self.page + 1)
    }

    fn href(&self, page: usize) -> String {
        format!("/c/{}/works?page={page}", self.creator.slug)
    }
}

#[derive(Template)]
#[template(path = "creator.html")]
struct CreatorPage {
    stamp: Option<Stamp>,
    shelf: Shelf,
}

#[derive(Template)]
#[template(path = "works.html")]
struct WorksFragment {
    shelf: Shelf,
}

/// `GET /c/{slug}`.
pub(crate) async fn creator(State(demo): State<Demo>, Path(slug): Path<String>, request: HeaderMap) -> Response {
    let Some(shelf) = site::creator(&slug).and_then(|creator| Shelf::new(creator, 1)) else {
        return no_such("creator");
    };
    let (page, tag) = (format!("/c/{slug}"), format!("creator-{slug}"));
    demo.shared.renders.answer(&page, &tag, None, &request, |stamp| CreatorPage { stamp: Some(stamp), shelf }.render())
}

#[derive(Debug, Deserialize)]
pub(crate) struct PageOf {
    page: Option<String>,
}

/// `GET /c/{slug}/works?page=n`: the shelf alone for HTMX, the whole page for everyone else.
pub(crate) async fn works(
    State(demo): State<Demo>,
    Path(slug): Path<String>,
    Query(query): Query<PageOf>,
    request: HeaderMap,
) -> Response {
    let page = query.page.map_or(Some(1), |page| page.parse().ok());
    let shelf = page.and_then(|page| Shelf::new(site::creator(&slug)?, page));
    let Some(shelf) = shelf else { return no_such("page") };
    let htmx = is_htmx(&request);
    let name = format!("/c/{slug}/works?page={}&htmx={htmx}", shelf.page);
    demo.shared.renders.answer(&name, &format!("creator-{slug}"), Some("HX-Request"), &request, |stamp| {
        if htmx { WorksFragment { shelf }.render() } else { CreatorPage { stamp: Some(stamp), shelf }.render() }
    })
}

#[derive(Template)]
#[template(path = "player.html")]
struct PlayerPage {
    stamp: Option<Stamp>,
    creator: &'static Creator,
    work: &'static Work,
}

/// `GET /player/{work}`.
pub(crate) async fn player(State(demo): State<Demo>, Path(slug): Path<String>, request: HeaderMap) -> Response {
    let Some((creator, work)) = site::work(&slug) else { return no_such("work") };
    let (page, tags) = (format!("/player/{slug}"), format!("work-{slug},creator-{}", creator.slug));
    demo.shared
        .renders
        .answer(&page, &tags, None, &request, |stamp| PlayerPage { stamp: Some(stamp), creator, work }.render())
}

#[derive(Template)]
#[template(path = "chat.html")]
struct ChatPage {
    stamp: Option<Stamp>,
}

/// `GET /chat`.
pub(crate) async fn chat(State(demo): State<Demo>, request: HeaderMap) -> Response {
    demo.shared.renders.answer("/chat", "pages", None, &request, |stamp| ChatPage { stamp: Some(stamp) }.render())
}

#[derive(Template)]
#[template(path = "upload.html")]
struct UploadPage {
    stamp: Option<Stamp>,
}

/// `GET /upload`.
pub(crate) async fn upload(State(demo): State<Demo>, request: HeaderMap) -> Response {
    demo.shared.renders.answer("/upload", "pages", None, &request, |stamp| UploadPage { stamp: Some(stamp) }.render())
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    stamp: Option<Stamp>,
    status: u16,
    title: &'static str,
    message: &'static str,
}

/// An error as a page in the site's dress: never stored.
pub(crate) fn error(status: StatusCode, title: &'static str, message: &'static str) -> Response {
    private(status, &ErrorPage { stamp: None, status: status.as_u16(), title, message })
}

/// A page that is for one reader, now.
pub(crate) fn private(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(header::CACHE_CONTROL, "private, no-store")], Html(html)).into_response(),
        Err(error) => api::template_failed(&error),
    }
}

/// Whether HTMX asks for a fragment. Going back in history it wants the whole page, although it says HX-Request then too.
pub(crate) fn is_htmx(request: &HeaderMap) -> bool {
    let says = |name: &str| request.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    says("hx-request") && !says("hx-history-restore-request")
}

/// 404 for a thing that a route could have had.
pub(crate) fn no_such(what: &'static str) -> Response {
    let message = match what {
        "creator" => "Nobody by that name shares work here.",
        "work" => "There is no such work, or its creator took it down.",
        "file" => "There is no such file in this release or the one before.",
        _ => "The list does not go that far.",
    };
    error(StatusCode::NOT_FOUND, "Nothing here", message)
}

//! What looking at a request costs: `cargo bench -p edge`. The filter off is none of it.

use divan::{Bencher, black_box};
use edge::filter::{Classes, Looked, look};

fn main() {
    divan::main();
}

/// What a browser sends.
const BROWSER: [(&str, &str); 12] = [
    ("host", "makenot.work"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.8,de;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://makenot.work/search?q=rock+%27n%27+roll&page=2"),
    ("cookie", "theme=dark; session=0123456789abcdef0123456789abcdef; _ga=GA1.2.123456789.1767225600"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=0, i"),
    ("te", "trailers"),
];

fn bench(bencher: Bencher<'_, '_>, path: &str, query: Option<&str>, fields: &[(&str, &str)], form: Option<&[u8]>) {
    bencher.bench(|| look(black_box(&Looked { path, query, fields, form }), black_box(Classes::ALL)));
}

#[divan::bench]
fn page(bencher: Bencher<'_, '_>) {
    bench(bencher, "/@ann/posts/how-to-select-a-guitar", None, &BROWSER, None);
}

#[divan::bench]
fn search(bencher: Bencher<'_, '_>) {
    bench(
        bencher,
        "/search",
        Some("q=SELECT+*+FROM+users+WHERE+name+%3D+%27O%27%27Brien%27&page=2&sort=new"),
        &BROWSER,
        None,
    );
}

#[divan::bench]
fn presigned(bencher: Bencher<'_, '_>) {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=\
                 20260101T000000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=0123456789abcdef0123456789abcdef\
                 0123456789abcdef0123456789abcdef&response-content-disposition=attachment%3B%20filename%3D%22a.zip%22";
    bench(bencher, "/files/01HZX", Some(query), &BROWSER, None);
}

#[divan::bench]
fn long_cookie(bencher: Bencher<'_, '_>) {
    let cookie =
        "consent=%7B%22a%22%3A%5B1%2C2%2C3%5D%7D; jwt=eyJhbGciOiJFUzI1NiJ9.eyJuYW1lIjoiTydCcmllbiJ9.AbC; ".repeat(40);
    let mut fields = BROWSER.to_vec();
    fields.push(("cookie", &cookie));
    bench(bencher, "/", None, &fields, None);
}

#[divan::bench]
fn attack(bencher: Bencher<'_, '_>) {
    bench(bencher, "/search", Some("q=1%2527%2520union%2520select%25201%252C2%252C3--"), &BROWSER, None);
}

#[divan::bench]
fn form_of_8_kib(bencher: Bencher<'_, '_>) {
    let form = format!(
        "_csrf=x&body={}",
        "It%27s+a+post%3B+with+%22quotes%22+%26+%3Cb%3Emarkup%3C%2Fb%3E+or+more.+".repeat(110)
    );
    bench(bencher, "/posts", None, &BROWSER, Some(form.as_bytes()));
}

/// A query of 8 KiB that is one piece of an attack over and over.
#[divan::bench(args = ["'<a(;or+", "<a+b=", "alert(", "';x.alert(", "{{", "${", "[[{{", "../", ";cat+", "`id`", "$(id", "javascript:", "on=", "(select+", "/*", "'", "&lt;", "%25", "$ne", "%0ax:", "%0a", "%0d%0a<", "a%20", "=?", "&#x3c;", "jndi:", "ab/", "|(", "*)(", "'or'", "a,", "1=1%20", "<script", "..", "((", "system("])]
fn one_piece_of_8_kib(bencher: Bencher<'_, '_>, piece: &str) {
    let query = format!("q={}", piece.repeat(8_000 / piece.len()));
    bench(bencher, "/", Some(&query), &BROWSER, None);
}

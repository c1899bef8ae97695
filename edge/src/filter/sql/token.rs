//! A value, read as the rest of a statement of SQL: a short list of tokens.

use super::super::scan::{after, is_word, take};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, or a word that is a value: `null`, `true`.
    Number,
    /// A string, perhaps without its end.
    Text,
    /// Any other word.
    Name,
    /// A word that begins a call which waits, reads or leaks.
    Danger,
    /// `and`, `or`, `xor`, `&&`, `||`.
    Logic,
    /// `not`, `!`, `~`.
    Not,
    /// `=`, `<`, `like`, `in`, `is`.
    Compare,
    /// `+`, `-`, `*`, `/`, `^`, `&`, `|`.
    Math,
    /// `union`, `intersect`, `except`.
    Union,
    /// `select`.
    Select,
    /// A word that begins a statement which changes something.
    Change,
    /// What such a statement is about: `table`, `into`, `from`, `database`.
    Thing,
    /// `order`, `group`.
    Sort,
    /// `by`.
    By,
    /// `having`, `where`.
    Where,
    /// `case`, `when`, `if`.
    Case,
    /// `exists`.
    Exists,
    /// `@@version`.
    Variable,
    /// `--`, `#`, `/*` without an end.
    Comment,
    /// `;`.
    Semicolon,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `,`.
    Comma,
    /// Anything else.
    Other,
}

/// A token, and its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a [u8],
    /// What follows it.
    pub(super) rest: &'a [u8],
    /// Of a string: whether it ended.
    pub(super) ended: bool,
}

/// So many at most.
pub(super) const MOST: usize = 48;

/// Reads tokens.
pub(super) fn tokens(text: &[u8]) -> Vec<Token<'_>> {
    let mut found = Vec::with_capacity(MOST);
    let mut rest = text;
    while found.len() < MOST {
        rest = skip(rest);
        let Some((kind, len, ended)) = next(rest) else { break };
        let (text, left) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        // `all` and `distinct` change nothing that matters here.
        if !(kind == Kind::Name && matches!(text, b"all" | b"distinct" | b"distinctrow")) {
            found.push(Token { kind, text, rest: left, ended });
        }
        rest = left;
    }
    found
}

/// White space, and comments that stand for it.
fn skip(mut text: &[u8]) -> &[u8] {
    loop {
        let (_, rest) = take(text, |byte| byte.is_ascii_whitespace() || matches!(byte, 0x0b | 0xa0));
        // `/*!50000 x */` is x to MySQL.
        if let Some(inner) = rest.strip_prefix(b"/*!") {
            text = take(inner, |byte| byte.is_ascii_digit()).1;
            continue;
        }
        let Some(inner) = rest.strip_prefix(b"/*") else { return rest.strip_prefix(b"*/").map_or(rest, skip) };
        match super::super::scan::find(inner, b"*/") {
            Some(end) => text = after(inner, end + 2),
            None => return rest,
        }
    }
}

fn next(text: &[u8]) -> Option<(Kind, usize, bool)> {
    let first = *text.first()?;
    let second = text.get(1).copied().unwrap_or_default();
    let kind = |kind, len| Some((kind, len, true));
    match first {
        b'\'' | b'"' => {
            let (len, ended) = string(text, first);
            Some((Kind::Text, len, ended))
        }
        b'`' => kind(Kind::Name, after(text, 1).iter().position(|b| *b == b'`').map_or(text.len(), |at| at + 2)),
        b'-' if second == b'-' => kind(Kind::Comment, text.len().min(2)),
        b'#' => kind(Kind::Comment, 1),
        b'/' if second == b'*' => kind(Kind::Comment, text.len()),
        b';' => kind(Kind::Semicolon, 1),
        b'(' => kind(Kind::Open, 1),
        b')' => kind(Kind::Close, 1),
        b',' => kind(Kind::Comma, 1),
        b'|' | b'&' if second == first => kind(Kind::Logic, 2),
        b'!' if second == b'=' => kind(Kind::Compare, 2),
        b'<' | b'>' | b'=' => kind(Kind::Compare, take(text, |b| matches!(b, b'<' | b'>' | b'=')).0.len().max(1)),
        b'!' | b'~' => kind(Kind::Not, 1),
        b'+' | b'-' | b'*' | b'/' | b'^' | b'&' | b'|' | b'%' => kind(Kind::Math, 1),
        b'@' if second == b'@' => kind(Kind::Variable, 2 + take(after(text, 2), is_word).0.len()),
        b'@' => kind(Kind::Name, 1 + take(after(text, 1), is_word).0.len()),
        b'0'..=b'9' => number(text),
        b'.' if second.is_ascii_digit() => number(text),
        _ if is_word(first) || first == b'$' => {
            let (word, _) = take(text, |b| is_word(b) || matches!(b, b'.' | b'$'));
            kind(of(word, after(text, word.len())), word.len())
        }
        _ => kind(Kind::Other, 1),
    }
}

/// A number ends where its digits do: `1or` are two tokens to a database.
fn number(text: &[u8]) -> Option<(Kind, usize, bool)> {
    let len = match text {
        [b'0', b'x' | b'b', digits @ ..] => 2 + take(digits, |b| b.is_ascii_hexdigit()).0.len(),
        _ => {
            let len = take(text, |b| b.is_ascii_digit() || b == b'.').0.len();
            match after(text, len) {
                [b'e', digits @ ..] if digits.first().is_some_and(u8::is_ascii_digit) => {
                    len + 1 + take(digits, |b| b.is_ascii_digit()).0.len()
                }
                _ => len,
            }
        }
    };
    // An identifier may begin with digits, and is no number then.
    let (word, _) = take(after(text, len), is_word);
    let split = word.is_empty() || matches!(of(word, &[]), Kind::Logic | Kind::Union | Kind::Compare | Kind::Sort);
    Some(if split { (Kind::Number, len.max(1), true) } else { (Kind::Name, len + word.len(), true) })
}

/// The length of a string, and whether it ends. Two quotes in it are one.
fn string(text: &[u8], quote: u8) -> (usize, bool) {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => {
                if text.get(at + 1) != Some(&quote) {
                    return (at + 1, true);
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
    (text.len(), false)
}

fn of(word: &[u8], rest: &[u8]) -> Kind {
    match word {
        b"and" | b"or" | b"xor" | b"div" | b"mod" => Kind::Logic,
        b"not" => Kind::Not,
        b"like" | b"rlike" | b"regexp" | b"in" | b"between" | b"is" | b"ilike" | b"similar" | b"glob" | b"sounds" => {
            Kind::Compare
        }
        b"union" | b"intersect" | b"except" | b"minus" => Kind::Union,
        b"select" => Kind::Select,
        b"insert" | b"update" | b"delete" | b"drop" | b"alter" | b"create" | b"truncate" | b"exec" | b"execute"
        | b"declare" | b"shutdown" | b"merge" | b"grant" | b"waitfor" | b"copy" | b"replace" | b"rename"
        | b"handler" => Kind::Change,
        b"table" | b"into" | b"from" | b"database" | b"user" | b"view" | b"index" | b"procedure" | b"function"
        | b"schema" | b"delay" | b"login" | b"trigger" => Kind::Thing,
        b"order" | b"group" => Kind::Sort,
        b"by" => Kind::By,
        b"having" | b"where" => Kind::Where,
        b"case" | b"when" | b"if" | b"iif" => Kind::Case,
        b"exists" => Kind::Exists,
        b"null" | b"true" | b"false" => Kind::Number,
        _ if is_danger(word) && super::super::scan::trim(rest).starts_with(b"(") => Kind::Danger,
        _ => Kind::Name,
    }
}

/// Functions by which databases wait, read files, speak to others, or tell in an error message.
fn is_danger(word: &[u8]) -> bool {
    matches!(
        word,
        b"sleep"
            | b"benchmark"
            | b"pg_sleep"
            | b"load_file"
            | b"extractvalue"
            | b"updatexml"
            | b"xmltype"
            | b"dbms_pipe.receive_message"
            | b"dbms_lock.sleep"
            | b"dbms_session.sleep"
            | b"utl_http.request"
            | b"utl_inaddr.get_host_address"
            | b"utl_inaddr.get_host_name"
            | b"ctxsys.drithsx.sn"
            | b"xp_cmdshell"
            | b"xp_dirtree"
            | b"master..xp_cmdshell"
            | b"master..xp_dirtree"
            | b"sys_eval"
            | b"sys_exec"
            | b"randomblob"
            | b"load_extension"
            | b"pg_read_file"
            | b"pg_ls_dir"
            | b"lo_import"
            | b"dblink_connect"
            | b"query_to_xml"
            | b"database_to_xml"
            | b"row_count"
            | b"name_const"
            | b"gtid_subset"
            | b"st_latfromgeohash"
            | b"json_keys"
            | b"make_set"
            | b"elt"
            | b"ascii"
            | b"ord"
            | b"substr"
            | b"substring"
            | b"mid"
            | b"unhex"
            | b"char"
            | b"chr"
            | b"concat"
            | b"concat_ws"
            | b"group_concat"
            | b"char_length"
            | b"length"
            | b"version"
            | b"database"
            | b"current_user"
            | b"user_name"
            | b"db_name"
            | b"convert"
            | b"cast"
    )
}

/// Those of which one alone says enough.
pub(super) fn is_strong(word: &[u8]) -> bool {
    matches!(
        word,
        b"sleep"
            | b"benchmark"
            | b"pg_sleep"
            | b"load_file"
            | b"extractvalue"
            | b"updatexml"
            | b"dbms_pipe.receive_message"
            | b"dbms_lock.sleep"
            | b"utl_http.request"
            | b"utl_inaddr.get_host_address"
            | b"utl_inaddr.get_host_name"
            | b"xp_cmdshell"
            | b"xp_dirtree"
            | b"randomblob"
            | b"load_extension"
            | b"pg_read_file"
            | b"gtid_subset"
            | b"ctxsys.drithsx.sn"
    )
}

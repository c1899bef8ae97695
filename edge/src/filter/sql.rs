//! SQL injection: a value that, put into a statement, would end what it is in and go on as SQL.
//!
//! A value is read as what follows a number, and as what follows each kind of quote in it. What counts is how it goes on, as a short
//! pattern of tokens (the idea is that of libinjection's fingerprints), and that little stands before: whoever writes *about* SQL writes
//! words, or a statement from its beginning.

mod token;

use token::{Kind, Token, is_strong, tokens};

use super::Managed;
use super::scan::{after, before, find, has, has_any, is_early, is_word};

/// The score from which on a value counts as an attack.
pub(super) const THRESHOLD: u8 = 5;

/// What a value would do, and how sure that is.
pub(super) fn judge(text: &[u8]) -> Option<(Managed, u8)> {
    let mut best = operators(text);
    let mut better = |found: Option<(Managed, u8)>| {
        if found.is_some_and(|(_, score)| best.is_none_or(|(_, other)| score > other)) {
            best = found;
        }
    };
    if !speaks(text) {
        return best;
    }
    better(bare(&tokens(text)));
    for quote in [b'\'', b'"'] {
        // The first quote may be one that the value brings along in pairs, so the next ones are tried too.
        let places = text.iter().enumerate().filter(|(_, byte)| **byte == quote).map(|(at, _)| at);
        // Every second one ends a pair.
        for at in places.step_by(2).take(2).filter(|at| is_early(text, *at)) {
            let head = before(text, at);
            let escaped = head.last() == Some(&b'\\');
            better(
                quoted(&tokens(after(text, at + 1)), head, after(text, at + 1)).filter(|_| !escaped || quote == b'\''),
            );
        }
    }
    best
}

/// Whether there is anything that SQL begins with: one look, which most values end.
fn speaks(text: &[u8]) -> bool {
    let mut words = false;
    for byte in text {
        match byte {
            b'\'' | b'"' | b';' | b'(' | b'#' | b'|' | b'*' => return true,
            b' ' | b'\t' | b'\n' | b'=' | b'-' | b'&' | 0x0b => words = true,
            _ => {}
        }
    }
    words
        && text.split(|byte| !is_word(*byte)).any(|word| {
            matches!(word, b"or" | b"and" | b"union" | b"order" | b"xor" | b"waitfor" | b"select" | b"having")
        })
}

/// Operators of document stores and directories, where a value belongs.
fn operators(text: &[u8]) -> Option<(Managed, u8)> {
    const STORE: [&[u8]; 12] =
        [b"$ne", b"$gt", b"$gte", b"$lt", b"$lte", b"$where", b"$regex", b"$in", b"$nin", b"$or", b"$exists", b"$and"];
    let mut from = 0;
    while let Some(at) = find(after(text, from), b"$").map(|at| from + at) {
        let rest = after(text, at);
        let opened = matches!(before(text, at).trim_ascii_end().last(), Some(b'[' | b'"' | b'\'' | b'{' | b','));
        let word = 1 + after(rest, 1).iter().take_while(|byte| is_word(**byte)).count();
        let closed = matches!(after(rest, word).trim_ascii_start().first(), Some(b']' | b'"' | b'\'' | b':'));
        if opened && closed && STORE.contains(&before(rest, word)) {
            return Some((Managed::SqliOperator, 6));
        }
        from = at + 1;
    }
    const DIRECTORY: [&[u8]; 8] = [b"*)(", b")(|(", b")(&(", b")(!(", b"*))(|", b"*|", b"*()|", b"(&(objectclass="];
    let directory = has_any(text, &DIRECTORY) && (has(text, b"=*") || has(text, b")(") || text.starts_with(b"*"));
    (directory && is_early(text, text.len())).then_some((Managed::SqliOperator, 5))
}

/// A list of tokens, looked at from its beginning.
#[derive(Clone, Copy)]
struct Look<'t, 'a>(&'t [Token<'a>]);

impl<'t, 'a> Look<'t, 'a> {
    fn at(self, n: usize) -> Option<&'t Token<'a>> {
        self.0.get(n)
    }

    fn kind(self, n: usize) -> Option<Kind> {
        self.at(n).map(|token| token.kind)
    }

    fn from(self, n: usize) -> Self {
        Self(self.0.get(n..).unwrap_or_default())
    }

    fn skip(self, kinds: &[Kind]) -> Self {
        self.from(self.0.iter().take_while(|token| kinds.contains(&token.kind)).count())
    }

    fn has(self, kind: Kind) -> bool {
        self.0.iter().any(|token| token.kind == kind)
    }

    fn strong(self) -> bool {
        self.0.iter().any(|token| token.kind == Kind::Danger && is_strong(token.text))
    }

    /// Names of the tables that databases describe themselves by.
    fn catalog(self) -> bool {
        self.0.iter().any(|token| {
            has_any(
                token.text,
                &[
                    b"information_schema",
                    b"sqlite_master",
                    b"sqlite_schema",
                    b"pg_catalog",
                    b"pg_shadow",
                    b"pg_user",
                    b"mysql.user",
                    b"sysobjects",
                    b"syscolumns",
                    b"sys.tables",
                    b"all_tables",
                    b"sysdatabases",
                    b"msysaccessobjects",
                ],
            )
        })
    }

    /// Whether it begins as something to compare: a literal or a call; and how many tokens that takes.
    fn literal(self) -> Option<usize> {
        let signs = self.0.iter().take_while(|token| matches!(token.kind, Kind::Open | Kind::Not | Kind::Math)).count();
        let look = self.from(signs);
        let mut len = signs
            + match look.kind(0)? {
                Kind::Number | Kind::Text | Kind::Variable => 1,
                Kind::Danger | Kind::Name if look.kind(1) == Some(Kind::Open) => look.call()?,
                _ => return None,
            };
        len += self.from(len).0.iter().take_while(|token| token.kind == Kind::Close).count();
        Some(len)
    }

    /// The length of a call.
    fn call(self) -> Option<usize> {
        let mut depth = 0_usize;
        for (n, token) in self.0.iter().enumerate().skip(1) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return Some(n + 1);
            }
        }
        None
    }

    /// Whether the statement ends here, or the rest of it is cut off.
    fn ends(self) -> bool {
        matches!(self.kind(0), None | Some(Kind::Comment | Kind::Semicolon))
    }
}

/// What follows `and`, `or`: how sure it is that this is a condition of an attacker's.
fn condition(look: Look<'_, '_>, in_quotes: bool) -> Option<(Managed, u8)> {
    let look = look.skip(&[Kind::Not]);
    let inner = look.skip(&[Kind::Open, Kind::Not, Kind::Math]);
    if inner.kind(0) == Some(Kind::Select) || (inner.kind(0) == Some(Kind::Exists) && inner.kind(1) == Some(Kind::Open))
    {
        return Some((Managed::SqliCondition, 7));
    }
    if inner.kind(0) == Some(Kind::Case) && (inner.kind(1) == Some(Kind::Open) || inner.kind(1) == Some(Kind::Case)) {
        return Some((Managed::SqliCondition, 7));
    }
    if inner.at(0).is_some_and(|token| token.kind == Kind::Danger && is_strong(token.text)) {
        return Some((Managed::SqliFunction, 8));
    }
    if let Some(len) = look.literal() {
        let next = look.from(len);
        if next.kind(0) == Some(Kind::Compare) {
            let right = next.skip(&[Kind::Compare, Kind::Not]);
            let same = right.literal().is_some() || right.kind(0) == Some(Kind::Open);
            return same.then_some((Managed::SqliCondition, 7));
        }
        let value = inner.kind(0);
        let called = matches!(value, Some(Kind::Danger | Kind::Name));
        return match next.kind(0) {
            Some(Kind::Comment | Kind::Semicolon) => Some((Managed::SqliCondition, 6)),
            None if in_quotes && (called || value == Some(Kind::Number)) => Some((Managed::SqliCondition, 5)),
            Some(Kind::Logic) if in_quotes => Some((Managed::SqliCondition, 5)),
            _ => None,
        };
    }
    // `or name = 'x`, `or name like '%`: only where something is cut off or left open.
    if inner.kind(0) == Some(Kind::Name) && inner.kind(1) == Some(Kind::Compare) {
        let right = inner.from(2).skip(&[Kind::Compare, Kind::Not, Kind::Open, Kind::Math]);
        let open = right.at(0).is_some_and(|token| token.kind == Kind::Text && !token.ended);
        let same = right.at(0).is_some_and(|token| Some(token.text) == inner.at(0).map(|token| token.text));
        let cut = right.from(1).skip(&[Kind::Close]).kind(0) == Some(Kind::Comment);
        let literal = matches!(right.kind(0), Some(Kind::Number | Kind::Text | Kind::Select));
        if (in_quotes && open) || same || (literal && cut) {
            return Some((Managed::SqliCondition, 6));
        }
        if in_quotes && right.kind(0) == Some(Kind::Number) && right.from(1).ends() {
            return Some((Managed::SqliCondition, 5));
        }
    }
    None
}

/// What follows `union`.
fn union(look: Look<'_, '_>) -> Option<(Managed, u8)> {
    let look = look.skip(&[Kind::Open]);
    if look.kind(0) != Some(Kind::Select) {
        return None;
    }
    let look = look.from(1).skip(&[Kind::Open]);
    let listed = |next: Option<Kind>| {
        matches!(
            next,
            None | Some(
                Kind::Comma | Kind::Thing | Kind::Comment | Kind::Close | Kind::Semicolon | Kind::Math | Kind::Union
            )
        )
    };
    let hit = match look.kind(0) {
        None
        | Some(Kind::Math | Kind::Variable | Kind::Text | Kind::Danger | Kind::Select | Kind::Comment | Kind::Case) => {
            true
        }
        Some(Kind::Number) => listed(look.kind(1)),
        Some(Kind::Name | Kind::Thing) => {
            matches!(look.kind(1), Some(Kind::Comma | Kind::Thing | Kind::Open | Kind::Comment | Kind::Math))
        }
        _ => false,
    };
    hit.then_some((Managed::SqliUnion, 8))
}

/// What follows `;`.
fn stacked(look: Look<'_, '_>) -> Option<(Managed, u8)> {
    let hit = match (look.at(0)?.kind, look.kind(1)) {
        (Kind::Select, Some(Kind::Danger | Kind::Variable | Kind::Case | Kind::Math | Kind::Number | Kind::Open)) => {
            true
        }
        (Kind::Select, Some(Kind::Name)) => matches!(look.kind(2), Some(Kind::Comma | Kind::Thing | Kind::Open)),
        (Kind::Change, Some(Kind::Thing)) if look.at(0).is_some_and(|token| token.text == b"waitfor") => {
            look.kind(2) == Some(Kind::Text)
        }
        (Kind::Change, Some(Kind::Thing | Kind::Danger)) => true,
        (Kind::Change, Some(Kind::Name)) => {
            let named = look.at(1).is_some_and(|token| {
                token.text.starts_with(b"@") || has_any(token.text, &[b"xp_", b"sp_", b"master", b"immediate"])
            });
            let set = look.at(2).is_some_and(|token| token.text == b"set");
            named || set
        }
        (Kind::Change, None | Some(Kind::Comment)) => look.at(0).is_some_and(|token| token.text == b"shutdown"),
        (Kind::Danger, _) => look.at(0).is_some_and(|token| is_strong(token.text)),
        (Kind::Case, Some(Kind::Open)) => true,
        _ => false,
    };
    hit.then_some((Managed::SqliStacked, 7))
}

/// What follows a quote that the value ends.
fn quoted(found: &[Token<'_>], head: &[u8], rest: &[u8]) -> Option<(Managed, u8)> {
    let look = Look(found).skip(&[Kind::Close]);
    let next = look.from(1);
    let first = look.at(0)?;
    match first.kind {
        // `x' || 'y` joins strings; `x' || (select …)` more.
        Kind::Logic => condition(next, true),
        Kind::Union => union(next),
        Kind::Semicolon if matches!(next.kind(0), Some(Kind::Comment)) => Some((Managed::SqliTail, 6)),
        Kind::Semicolon => stacked(next),
        Kind::Comment => {
            let tail = first.rest.trim_ascii();
            let cut = match first.text {
                b"--" => tail.len() < 3 && !tail.contains(&b'\'') && !tail.contains(&b'"'),
                b"#" => tail.is_empty(),
                text => text.len() < 6,
            };
            (cut && (!head.is_empty() || rest.len() < 8)).then_some((Managed::SqliTail, 6))
        }
        Kind::Sort if next.kind(0) == Some(Kind::By) => {
            let counted = next.kind(1) == Some(Kind::Number) || next.has(Kind::Where) || next.has(Kind::Comment);
            counted.then_some((Managed::SqliTail, 6))
        }
        Kind::Where => condition(next, true),
        Kind::Case => (next.kind(0) == Some(Kind::Open) || next.kind(0) == Some(Kind::Case))
            .then_some((Managed::SqliCondition, 6)),
        Kind::Thing if first.text == b"into" || first.text == b"procedure" => next
            .at(0)
            .filter(|token| has_any(token.text, &[b"outfile", b"dumpfile", b"analyse"]))
            .map(|_| (Managed::SqliFunction, 8)),
        Kind::Change if first.text == b"waitfor" => Some((Managed::SqliFunction, 7)),
        Kind::Math | Kind::Compare | Kind::Comma => {
            let operand = next.skip(&[Kind::Math, Kind::Not, Kind::Compare]);
            let inner = operand.skip(&[Kind::Open]);
            if inner.at(0).is_some_and(|token| token.kind == Kind::Danger) || inner.kind(0) == Some(Kind::Select) {
                let sure = inner.strong() || inner.has(Kind::Select) || first.kind != Kind::Comma;
                return sure.then_some((Managed::SqliFunction, 7));
            }
            if inner.kind(0) == Some(Kind::Case) && inner.kind(1).is_some() && first.kind == Kind::Math {
                return Some((Managed::SqliCondition, 6));
            }
            let open = inner.at(0).is_some_and(|token| token.kind == Kind::Text && !token.ended);
            let joined = open && inner.from(1).ends() && first.kind != Kind::Comma && has(rest, b"'");
            // `='` alone is an attribute's.
            let bare = first.kind == Kind::Compare && first.text == b"=" && !head.is_empty();
            (joined && !bare).then_some((Managed::SqliCondition, if first.kind == Kind::Math { 5 } else { 4 }))
        }
        _ => None,
    }
}

/// What a value says that stands where a number would, or a statement.
fn bare(all: &[Token<'_>]) -> Option<(Managed, u8)> {
    let look = Look(all);
    match look.kind(0)? {
        Kind::Select => return statement(look),
        Kind::Change => {
            let waits = look.at(0).is_some_and(|token| token.text == b"waitfor");
            return stacked(look).filter(|_| waits || look.strong() || named_server(look));
        }
        _ => {}
    }
    // What stands before the first word that goes on as SQL.
    let head = all
        .iter()
        .take_while(|token| {
            matches!(
                token.kind,
                Kind::Number | Kind::Name | Kind::Close | Kind::Text | Kind::Other | Kind::Variable | Kind::Comma
            ) || (token.kind == Kind::Math && token.text != b"/")
        })
        .count();
    let begins = matches!(look.kind(0), Some(Kind::Open | Kind::Danger | Kind::Case | Kind::Not));
    if !begins && head > 4 {
        return None;
    }
    let (rest, number) =
        (look.from(head), matches!(look.kind(0), None | Some(Kind::Number | Kind::Close | Kind::Math | Kind::Text)));
    let next = rest.from(1);
    let found = match rest.kind(0) {
        Some(Kind::Logic) => {
            condition(next, false).map(|(rule, score)| (rule, if head > 2 { score.saturating_sub(1) } else { score }))
        }
        Some(Kind::Union) => union(next),
        // `begin; update …` is a transaction.
        Some(Kind::Semicolon) if number || head == 0 || (head == 1 && !begins_transaction(look)) => stacked(next),
        Some(Kind::Sort) if number && next.kind(0) == Some(Kind::By) && next.kind(1) == Some(Kind::Number) => {
            let end = next.from(2);
            (end.ends() || end.kind(0) == Some(Kind::Comma)).then_some((Managed::SqliTail, 6))
        }
        Some(Kind::Where) => condition(next, false),
        Some(Kind::Change)
            if rest.at(0).is_some_and(|token| token.text == b"waitfor") && next.kind(0) == Some(Kind::Thing) =>
        {
            Some((Managed::SqliFunction, 7))
        }
        _ => None,
    };
    if found.is_some() {
        return found;
    }
    // A sub-select, or a call that waits or tells, beside a number or by itself.
    let inner = look.skip(&[Kind::Number, Kind::Math, Kind::Not, Kind::Open, Kind::Close, Kind::Compare, Kind::Comma]);
    let opened = has_open(all);
    if inner.kind(0) == Some(Kind::Select)
        && opened
        && (inner.strong() || inner.catalog() || inner.has(Kind::Variable) || inner.has(Kind::Case))
    {
        return Some((Managed::SqliFunction, 7));
    }
    if inner.kind(0) == Some(Kind::Select) && number && opened && inner.has(Kind::Close) {
        return Some((Managed::SqliFunction, 6));
    }
    if inner.kind(0) == Some(Kind::Case)
        && inner.kind(1).is_some()
        && (inner.strong()
            || (inner.kind(0) == Some(Kind::Case)
                && condition(inner.skip(&[Kind::Case, Kind::Open]), true).is_some()
                && inner.has(Kind::Select)))
    {
        return Some((Managed::SqliFunction, 6));
    }
    let called = inner.at(0).filter(|token| token.kind == Kind::Danger && is_strong(token.text))?;
    // `sleep(5)` is a line of many languages.
    let sure = called.text != b"sleep" || number || inner.has(Kind::Comment);
    sure.then_some((Managed::SqliFunction, 6))
}

fn begins_transaction(look: Look<'_, '_>) -> bool {
    look.at(0).is_some_and(|token| matches!(token.text, b"begin" | b"commit" | b"rollback" | b"end" | b"start" | b"go"))
}

fn has_open(found: &[Token<'_>]) -> bool {
    found.iter().take_while(|token| token.kind != Kind::Select).any(|token| token.kind == Kind::Open)
}

fn named_server(look: Look<'_, '_>) -> bool {
    look.0.iter().any(|token| has_any(token.text, &[b"xp_", b"sp_oacreate", b"master.."]))
}

/// A whole statement is what people write about; one that waits, reads files or shows the server is not.
fn statement(look: Look<'_, '_>) -> Option<(Managed, u8)> {
    let file = look.0.windows(2).any(|pair| match pair {
        [into, file] => into.text == b"into" && matches!(file.text, b"outfile" | b"dumpfile"),
        _ => false,
    });
    let waits = look.0.iter().any(|token| token.kind == Kind::Danger && is_strong(token.text));
    if file || waits {
        return Some((Managed::SqliFunction, 6));
    }
    let version = look.kind(1) == Some(Kind::Variable);
    version.then_some((Managed::SqliFunction, 5))
}

#[cfg(test)]
mod tests {
    use super::{THRESHOLD, judge};

    fn hit(text: &str) -> bool {
        judge(text.to_ascii_lowercase().as_bytes()).is_some_and(|(_, score)| score >= THRESHOLD)
    }

    #[test]
    fn goes_on_as_sql() {
        for text in [
            "' or '1'='1",
            "' OR 1=1--",
            "admin'--",
            "admin' #",
            "1 or 1=1",
            "1) or (1=1",
            "1'or'1'='1",
            "' or true--",
            "-1 union select 1,2,3",
            "1 UNION/**/ALL/**/SELECT null,null--",
            "1/*!50000union*/ select user from t",
            "1; drop table users",
            "'; exec xp_cmdshell('dir')--",
            "1 and sleep(5)",
            "' || pg_sleep(5)--",
            "1 order by 10--",
            "' having 1=1--",
            "(select(0)from(select(sleep(15)))v)",
            "') or ('x'='x",
            "\" or \"a\"=\"a",
            "' and extractvalue(1,concat(0x7e,version()))--",
            "' waitfor delay '0:0:5'--",
            "user[$ne]",
            "{\"$gt\":\"\"}",
            "*)(uid=*))(|(uid=*",
        ] {
            assert!(hit(text), "{text}");
        }
    }

    #[test]
    fn is_about_sql() {
        for text in [
            "SELECT * FROM users WHERE id = 1",
            "select a from b union select c from d",
            "O'Brien",
            "O'Brien and sons",
            "rock 'n' roll or jazz",
            "the student union select committee",
            "how to write an order by clause",
            "drop table if exists users;",
            "insert into posts (title) values ('x')",
            "color: '#fff'",
            "'--help'",
            "cats and dogs = friends",
            "1 and 2",
            "import x from '../y'; export default x",
            "time.sleep(5)",
            "a = 'b' or c = 'd'",
            "it's 5 or 6, isn't it?",
            "50% off; update your cart",
        ] {
            assert!(!hit(text), "{text} {:?}", judge(text.to_ascii_lowercase().as_bytes()));
        }
    }
}

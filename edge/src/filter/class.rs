//! The classes of managed rules: what an operator switches, blocks and excepts by.

/// What a managed rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Looking for what careless servers leave lying about.
    Probe,
    /// Leaving the folder that files are served from.
    Traversal,
    /// SQL injection, and its kin in other query languages.
    Sqli,
    /// Cross-site scripting.
    Xss,
    /// Injection of shell commands and of server-side code.
    Command,
    /// Injection into templates and expression languages.
    Template,
    /// Injection of header lines.
    Crlf,
    /// Parameters that would have the server ask its own network.
    Ssrf,
    /// Programs that name themselves attack tools.
    Agent,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Probe,
        Self::Traversal,
        Self::Sqli,
        Self::Xss,
        Self::Command,
        Self::Template,
        Self::Crlf,
        Self::Ssrf,
        Self::Agent,
    ];

    /// Its name in configuration, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Traversal => "traversal",
            Self::Sqli => "sqli",
            Self::Xss => "xss",
            Self::Command => "command",
            Self::Template => "template",
            Self::Crlf => "crlf",
            Self::Ssrf => "ssrf",
            Self::Agent => "agent",
        }
    }

    /// The class of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u16);

impl Classes {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// What blocks where nobody says anything: what no visitor sends by chance.
    pub const DEFAULT: Self = Self::NONE.with(Class::Probe).with(Class::Traversal).with(Class::Agent);
    /// All of them.
    pub const ALL: Self = Self(u16::MAX);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, class: Class) -> Self {
        Self(self.0 | 1 << class as u16)
    }

    /// Whether it has the class.
    #[must_use]
    pub const fn has(self, class: Class) -> bool {
        self.0 & 1 << class as u16 != 0
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Classes};

    #[test]
    fn names_come_back() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.as_str()), Some(class));
            assert!(Classes::ALL.has(class) && Classes::NONE.with(class).has(class) && !Classes::NONE.has(class));
        }
        assert_eq!(Class::parse("sql"), None);
        let blocks = Class::ALL.map(|class| Classes::DEFAULT.has(class));
        assert_eq!(blocks, [true, true, false, false, false, false, false, false, true]);
    }
}

//! The managed rules by name: what each stops. `docs/filter.md` has a row for each (a test holds it).

use super::Class;

/// The version of the managed rules. It grows with every change of what they stop; the signed facts carry it.
pub const VERSION: u32 = 1;

/// A managed rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Managed {
    /// Files that begin with a dot.
    ProbeDotfile,
    /// A version-control folder.
    ProbeVcs,
    /// Backups and dumps.
    ProbeBackup,
    /// Admin panels of programs that are not here.
    ProbeAdmin,
    /// Known holes of programs that are not here.
    ProbeExploit,
    /// Steps up, out of a folder.
    TraversalSteps,
    /// A system file by its full name.
    TraversalFile,
    /// A stream wrapper of a scripting language.
    TraversalWrapper,
    /// A condition that always holds.
    SqliCondition,
    /// A second result, joined.
    SqliUnion,
    /// A second statement.
    SqliStacked,
    /// A function that waits, reads files or leaks by errors.
    SqliFunction,
    /// What follows is cut off.
    SqliTail,
    /// A query's operator where a value belongs.
    SqliOperator,
    /// A script element.
    XssScript,
    /// An event handler in markup.
    XssHandler,
    /// A URI that runs.
    XssUri,
    /// Markup that loads or replaces a document.
    XssMarkup,
    /// A string in a script ended, then a call.
    XssCall,
    /// A command after a shell's separator.
    CommandChain,
    /// A command in a substitution.
    CommandSubstitution,
    /// A command of its own.
    CommandWhole,
    /// Server-side code.
    CommandCode,
    /// Arithmetic that shows whether it is carried out.
    TemplateProbe,
    /// Objects that lead out of a template.
    TemplateEscape,
    /// A look-up by a logging library.
    TemplateLookup,
    /// A server-side include.
    TemplateInclude,
    /// An external entity of XML.
    TemplateEntity,
    /// A header line after a line break.
    CrlfHeader,
    /// A URL to the server itself.
    SsrfLoopback,
    /// A URL to a cloud's metadata.
    SsrfMetadata,
    /// A URL into a private network.
    SsrfPrivate,
    /// A URL of a scheme that no web page has.
    SsrfScheme,
    /// An attack tool.
    AgentScanner,
}

impl Managed {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::ProbeDotfile,
        Self::ProbeVcs,
        Self::ProbeBackup,
        Self::ProbeAdmin,
        Self::ProbeExploit,
        Self::TraversalSteps,
        Self::TraversalFile,
        Self::TraversalWrapper,
        Self::SqliCondition,
        Self::SqliUnion,
        Self::SqliStacked,
        Self::SqliFunction,
        Self::SqliTail,
        Self::SqliOperator,
        Self::XssScript,
        Self::XssHandler,
        Self::XssUri,
        Self::XssMarkup,
        Self::XssCall,
        Self::CommandChain,
        Self::CommandSubstitution,
        Self::CommandWhole,
        Self::CommandCode,
        Self::TemplateProbe,
        Self::TemplateEscape,
        Self::TemplateLookup,
        Self::TemplateInclude,
        Self::TemplateEntity,
        Self::CrlfHeader,
        Self::SsrfLoopback,
        Self::SsrfMetadata,
        Self::SsrfPrivate,
        Self::SsrfScheme,
        Self::AgentScanner,
    ];

    const fn row(self) -> (Class, &'static str) {
        match self {
            Self::ProbeDotfile => (Class::Probe, "probe-dotfile"),
            Self::ProbeVcs => (Class::Probe, "probe-vcs"),
            Self::ProbeBackup => (Class::Probe, "probe-backup"),
            Self::ProbeAdmin => (Class::Probe, "probe-admin"),
            Self::ProbeExploit => (Class::Probe, "probe-exploit"),
            Self::TraversalSteps => (Class::Traversal, "traversal-steps"),
            Self::TraversalFile => (Class::Traversal, "traversal-file"),
            Self::TraversalWrapper => (Class::Traversal, "traversal-wrapper"),
            Self::SqliCondition => (Class::Sqli, "sqli-condition"),
            Self::SqliUnion => (Class::Sqli, "sqli-union"),
            Self::SqliStacked => (Class::Sqli, "sqli-stacked"),
            Self::SqliFunction => (Class::Sqli, "sqli-function"),
            Self::SqliTail => (Class::Sqli, "sqli-tail"),
            Self::SqliOperator => (Class::Sqli, "sqli-operator"),
            Self::XssScript => (Class::Xss, "xss-script"),
            Self::XssHandler => (Class::Xss, "xss-handler"),
            Self::XssUri => (Class::Xss, "xss-uri"),
            Self::XssMarkup => (Class::Xss, "xss-markup"),
            Self::XssCall => (Class::Xss, "xss-call"),
            Self::CommandChain => (Class::Command, "command-chain"),
            Self::CommandSubstitution => (Class::Command, "command-substitution"),
            Self::CommandWhole => (Class::Command, "command-whole"),
            Self::CommandCode => (Class::Command, "command-code"),
            Self::TemplateProbe => (Class::Template, "template-probe"),
            Self::TemplateEscape => (Class::Template, "template-escape"),
            Self::TemplateLookup => (Class::Template, "template-lookup"),
            Self::TemplateInclude => (Class::Template, "template-include"),
            Self::TemplateEntity => (Class::Template, "template-entity"),
            Self::CrlfHeader => (Class::Crlf, "crlf-header"),
            Self::SsrfLoopback => (Class::Ssrf, "ssrf-loopback"),
            Self::SsrfMetadata => (Class::Ssrf, "ssrf-metadata"),
            Self::SsrfPrivate => (Class::Ssrf, "ssrf-private"),
            Self::SsrfScheme => (Class::Ssrf, "ssrf-scheme"),
            Self::AgentScanner => (Class::Agent, "agent-scanner"),
        }
    }

    /// Its class.
    #[must_use]
    pub const fn class(self) -> Class {
        self.row().0
    }

    /// Its name, which begins with its class's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }
}

#[cfg(test)]
mod tests {
    use super::Managed;

    #[test]
    fn each_is_there_once_and_named_by_its_class() {
        for (place, rule) in Managed::ALL.iter().enumerate() {
            assert_eq!(*rule as usize, place);
            assert_eq!(rule.as_str().split('-').next(), Some(rule.class().as_str()));
            assert!(Managed::ALL.iter().filter(|other| other.as_str() == rule.as_str()).count() == 1, "{rule:?}");
        }
    }
}

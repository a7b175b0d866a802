//! Every finding's stable name and level, in one place. The reader and the linter report by these; `docs/lint.md` explains
//! each, and a test keeps the two in step.

use croft_proto::Level;

macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal, $level:ident;)+) => {
        /// What kind of finding it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of the guide.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable text of `Diagnostic::code`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How bad it is, always.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)+ }
            }
        }
    };
}

codes! {
    /// The file is larger than any buildspec needs to be.
    FileTooLarge = "file-too-large", Error;
    /// The bytes are not UTF-8 text.
    NotUtf8 = "not-utf8", Error;
    /// The file says nothing.
    EmptyFile = "empty-file", Error;
    /// The text is not YAML.
    YamlSyntax = "yaml-syntax", Error;
    /// More than one YAML document.
    SeveralDocuments = "several-documents", Error;
    /// More levels inside each other than any buildspec has.
    TooDeep = "too-deep", Error;
    /// More values, aliases written out, than any buildspec has.
    TooManyNodes = "too-many-nodes", Error;
    /// More findings than are listed.
    TooManyFindings = "too-many-findings", Warning;
    /// The same key twice in one map.
    DuplicateKey = "duplicate-key", Error;
    /// A key that is not plain text.
    BadKey = "bad-key", Error;
    /// `<<` with something that is not a map.
    BadMerge = "bad-merge", Error;
    /// `*name` without `&name` before it.
    UnknownAlias = "unknown-alias", Error;
    /// `!name`, which means nothing in a buildspec.
    YamlTag = "yaml-tag", Error;
    /// A map, a list or a text where another is meant.
    WrongType = "wrong-type", Error;
    /// A required key is absent or empty.
    MissingKey = "missing-key", Error;
    /// A text that may not be empty is.
    EmptyText = "empty-text", Error;
    /// A version other than 0.1 and 0.2 of a buildspec, and 0.0 of an AppSpec.
    BadVersion = "bad-version", Error;
    /// A phase other than the four.
    UnknownPhase = "unknown-phase", Error;
    /// A key that looks like a misspelt one.
    UnknownKey = "unknown-key", Error;
    /// A command that YAML reads as a map or a list.
    CommandNotText = "command-not-text", Error;
    /// A list item with nothing in it.
    EmptyItem = "empty-item", Error;
    /// Neither yes nor no.
    BadBoolean = "bad-boolean", Error;
    /// A variable whose name begins with `CODEBUILD_`.
    ReservedName = "reserved-name", Error;
    /// A variable name the environment cannot hold.
    BadVariableName = "bad-variable-name", Error;
    /// A NUL character where the system allows none.
    NulCharacter = "nul-character", Error;
    /// A shell that is not supported.
    BadShell = "bad-shell", Error;
    /// A secrets-manager reference that cannot be read.
    BadSecretReference = "bad-secret-reference", Error;
    /// An `on-failure` that cannot be read.
    BadOnFailure = "bad-on-failure", Error;
    /// An unknown report format.
    BadFileFormat = "bad-file-format", Error;
    /// An artifact identifier with other characters than allowed.
    BadIdentifier = "bad-identifier", Error;
    /// A secondary artifact the project does not declare.
    UnmatchedSecondary = "unmatched-secondary", Error;
    /// A cache action other than the two.
    BadCacheAction = "bad-cache-action", Error;
    /// More fallback keys than are looked at.
    TooManyFallbackKeys = "too-many-fallback-keys", Error;

    /// A top-level key that is not used.
    UnknownTopLevelKey = "unknown-top-level-key", Warning;
    /// A key that is not used and resembles none that is.
    IgnoredKey = "ignored-key", Warning;
    /// A key from an older format.
    DeprecatedKey = "deprecated-key", Warning;
    /// A key or section with nothing in it.
    EmptyValue = "empty-value", Warning;
    /// A single text where a list is meant.
    NotAList = "not-a-list", Warning;
    /// Nothing would run.
    NoCommands = "no-commands", Warning;
    /// One variable defined in several places.
    ShadowedVariable = "shadowed-variable", Warning;
    /// A variable name that no shell can read.
    UnreadableVariableName = "unreadable-variable-name", Warning;
    /// An exported variable that is never reported.
    NeverExported = "never-exported", Warning;
    /// Fallback keys without a key.
    FallbackWithoutKey = "fallback-without-key", Warning;
    /// A `batch` that a batch build could not use.
    BatchUnclear = "batch-unclear", Warning;

    /// `batch`, which this build does not look at.
    BatchIgnored = "batch-ignored", Warning;
    /// A failure inside a command that nobody would notice.
    HiddenFailure = "hidden-failure", Warning;
    /// A failure on the left of a pipe that nobody would notice.
    PipeHidesFailure = "pipe-hides-failure", Warning;
    /// A deployment that also runs after a failed build.
    UnguardedDeploy = "unguarded-deploy", Warning;
    /// A bash feature under `sh`.
    Bashism = "bashism", Warning;
    /// A shell option that ends with its command.
    LostOption = "lost-option", Warning;
    /// A function or alias that ends with its command.
    LostFunction = "lost-function", Warning;
    /// Waiting for a process another command started.
    LostJob = "lost-job", Warning;
    /// `exit 0`, which ends one command only.
    ExitDoesNotStop = "exit-does-not-stop", Warning;
    /// A variable's value that looks as if it should be expanded.
    LiteralValue = "literal-value", Warning;
    /// A well-known variable set to nothing.
    EmptiedVariable = "emptied-variable", Warning;
    /// A ` #` that cuts a command short.
    CommentInCommand = "comment-in-command", Warning;

    /// An AppSpec for Amazon ECS or AWS Lambda.
    NotForServers = "not-for-servers", Error;
    /// An `os` other than the two.
    BadOs = "bad-os", Error;
    /// A path on the host that does not begin at its root.
    NotAbsolute = "not-absolute", Error;
    /// A path that leads out of the bundle, or about on the host.
    ClimbingPath = "climbing-path", Error;
    /// A path longer than any system takes.
    LongPath = "long-path", Error;
    /// Two entries that put files at the same paths.
    SameDestination = "same-destination", Error;
    /// A `file_exists_behavior` other than the three.
    BadFileExistsBehavior = "bad-file-exists-behavior", Error;
    /// A key that belongs elsewhere.
    MisplacedKey = "misplaced-key", Error;
    /// `permissions` for Windows.
    PermissionsOnWindows = "permissions-on-windows", Error;
    /// A mode that is no octal number.
    BadMode = "bad-mode", Error;
    /// An access control entry that cannot be read.
    BadAcl = "bad-acl", Error;
    /// An SELinux context that cannot be read.
    BadContext = "bad-context", Error;
    /// A permission for neither files nor folders.
    BadObjectType = "bad-object-type", Error;
    /// A user or group no system has.
    BadAccount = "bad-account", Error;
    /// Two permissions for the same paths.
    PermissionTwice = "permission-twice", Error;
    /// An event that looks like a misspelt one.
    UnknownEvent = "unknown-event", Error;
    /// Scripts for an event without scripts.
    ReservedEvent = "reserved-event", Error;
    /// A timeout that is no number of seconds.
    BadTimeout = "bad-timeout", Error;
    /// Scripts that may take longer than their event.
    LongTimeouts = "long-timeouts", Warning;
    /// A key that has no meaning on Windows.
    IgnoredOnWindows = "ignored-on-windows", Warning;
    /// A container's setting that cannot be.
    BadContainer = "bad-container", Error;

    /// A file that the revision lacks.
    MissingFile = "missing-file", Error;
    /// A file that a source lacks, of which a revision is made.
    MissingFileOfSource = "missing-file-of-source", Warning;

    /// Neither files nor scripts.
    EmptyDeployment = "empty-deployment", Warning;
    /// Two entries that may put files at the same paths.
    OverlappingDestinations = "overlapping-destinations", Warning;
    /// A glob where only a name is understood.
    GlobInSource = "glob-in-source", Warning;
    /// A permission for something that is not put in place.
    UnmatchedObject = "unmatched-object", Warning;
    /// A pattern that no name can match.
    PatternMatchesNothing = "pattern-matches-nothing", Warning;
    /// A pattern that leaves less out than it seems to.
    ShallowExcept = "shallow-except", Warning;
    /// A pattern or exceptions for a single file.
    PatternOnFile = "pattern-on-file", Warning;
    /// A permission that changes nothing.
    PermissionSetsNothing = "permission-sets-nothing", Warning;
    /// Two permissions of which both would match something.
    PermissionsOverlap = "permissions-overlap", Warning;
    /// Default access control entries for files too.
    DefaultAclOnFiles = "default-acl-on-files", Warning;
    /// A script that runs twice in one event.
    ScriptTwice = "script-twice", Warning;
    /// A script with words after its name.
    ScriptArguments = "script-arguments", Warning;
    /// A script's location that begins at the root.
    AbsoluteScript = "absolute-script", Warning;
    /// A container that nobody asks whether it is well.
    NoHealthCheck = "no-health-check", Warning;

    /// The text is not JSON.
    JsonSyntax = "json-syntax", Error;
    /// A setting of a document that cannot be.
    BadSetting = "bad-setting", Error;
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        let shaped = |name: &&str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'8')
        };
        assert!(names.iter().all(shaped), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn the_guide_explains_every_code_and_no_other() {
        let guide = include_str!("../../docs/lint.md");
        let explained: Vec<_> = guide
            .lines()
            .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
            .collect();
        let known: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(explained, known);
    }
}

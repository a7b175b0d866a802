//! A plan of what an Install changes, and the list of what is then the group's. Written down before the first change; read by
//! whoever carries it out, goes on with it or undoes it.

use croft_proto::deploy::DeploymentId;
use serde::{Deserialize, Serialize};

/// A path of the host: below a folder that is opened the ordinary way, from where no link is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Which of the plan's bases; 0 is `/`, where links are followed.
    pub(crate) base: usize,
    /// Without a leading `/`; empty for the base itself.
    pub(crate) below: String,
}

/// Who may do what with a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    /// `0o7777`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Removal {
    pub(crate) place: Place,
    /// Of a folder, which goes if it is empty; a file or link otherwise.
    pub(crate) folder: Option<Attributes>,
}

/// A folder that is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) place: Place,
    pub(crate) attributes: Attributes,
}

/// A folder that stays, and changes hands or rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) place: Place,
    pub(crate) before: Attributes,
    /// Its access control lists before: of itself, and of what is made in it.
    pub(crate) acls_before: [Option<Vec<u8>>; 2],
    pub(crate) after: Attributes,
}

/// A file or link that is put in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Put {
    pub(crate) place: Place,
    pub(crate) what: What,
    /// Something is there, which is kept aside.
    pub(crate) replaces: bool,
}

/// What is put in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum What {
    /// A file of the revision.
    File {
        /// Its path there.
        source: String,
        attributes: Attributes,
    },
    /// A link, as it is in the revision.
    Link { target: String, uid: u32, gid: u32 },
}

/// An access control list that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AclSet {
    pub(crate) place: Place,
    /// As `setfacl` takes them.
    pub(crate) entries: String,
}

/// An SELinux context that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContextSet {
    pub(crate) path: String,
    /// Between `semanage fcontext -a` and the path.
    pub(crate) words: Vec<String>,
}

/// Everything that an Install does, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) deployment: DeploymentId,
    /// The folders that places are below.
    pub(crate) bases: Vec<String>,
    /// SELinux rules of the installation before.
    pub(crate) contexts_gone: Vec<ContextSet>,
    /// What is in a folder before the folder.
    pub(crate) removals: Vec<Removal>,
    /// Folders before what is in them.
    pub(crate) made: Vec<Made>,
    pub(crate) changed: Vec<Changed>,
    pub(crate) puts: Vec<Put>,
    pub(crate) acls: Vec<AclSet>,
    pub(crate) contexts: Vec<ContextSet>,
    /// What is the group's afterwards.
    pub(crate) owned: Vec<Owned>,
    /// For people, and not for whoever carries the plan out.
    #[serde(skip)]
    pub(crate) preview: Preview,
}

impl Plan {
    /// A place's path.
    pub(crate) fn path(&self, place: &Place) -> String {
        full(&self.bases, place)
    }
}

/// A path that a group's Install has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owned {
    pub(crate) place: Place,
    pub(crate) is_folder: bool,
}

/// What the last Install of a group that succeeded has made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Installed {
    /// By which deployment; `None` before the first.
    pub(crate) deployment: Option<DeploymentId>,
    pub(crate) bases: Vec<String>,
    pub(crate) owned: Vec<Owned>,
    #[serde(default)]
    pub(crate) contexts: Vec<ContextSet>,
}

impl Installed {
    pub(crate) fn path(&self, place: &Place) -> String {
        full(&self.bases, place)
    }
}

fn full(bases: &[String], place: &Place) -> String {
    let base = bases.get(place.base).map_or("/", String::as_str);
    joined(base, &place.below)
}

/// A path below another.
pub(crate) fn joined(folder: &str, below: &str) -> String {
    match (folder, below) {
        (folder, "") => folder.to_string(),
        ("" | "/", below) => format!("/{below}"),
        (folder, below) => format!("{folder}/{below}"),
    }
}

/// What an Install would do, for people.
///
/// **Shape.** Absolute paths, sorted. `unchanged` are files that are there already as the revision has them; `retained` are
/// there, and are not the deployment's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Folders and files that are not there.
    pub creates: Vec<String>,
    /// Files that are there.
    pub overwrites: Vec<String>,
    /// Files and folders of the installation before, which go.
    pub removes: Vec<String>,
    /// Files that need no change.
    pub unchanged: Vec<String>,
    /// Files that stay as they are because of `RETAIN`.
    pub retained: Vec<String>,
    /// Who may do what with them.
    pub permissions: Vec<Permitted>,
}

/// What `permissions` of the AppSpec mean for one path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permitted {
    /// The file or folder.
    pub path: String,
    /// In octal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// A user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// A group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As `setfacl` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acls: Vec<String>,
    /// The SELinux type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

//! One list for each family of things that an experiment names by `kind`: samplers, estimators, controls, guidance
//! rules, protocols.
//!
//! A kind is one file with a settings type that implements the trait of its family. The list gives it the name that
//! files use and the name that readers see; everything else that the harness must know of it, the trait asks for, so
//! a kind that has not answered does not compile. Worked examples: `harness/tests/worked/`.

/// Declares the enum of a family from its list: how it is read and written (`kind: NAME`, the settings beside it), what
/// its kinds are called, and the settings behind the trait of the family.
///
/// # Examples
/// ```
/// use dubench::sampler::{DdimSettings, SamplerSettings};
///
/// dubench::kinds! {
///     /// Samplers of ours.
///     pub enum Ours: SamplerSettings {
///         "walk", "Deterministic walk" => Walk(DdimSettings),
///     }
/// }
///
/// let walk: Ours = serde_json::from_str(r#"{"kind": "walk", "n_steps": 5}"#)?;
/// assert_eq!((walk.kind(), walk.n_steps()), ("walk", 5));
/// assert_eq!(Ours::label_of("walk"), Some("Deterministic walk"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! kinds {
    (
        $(#[$meta:meta])*
        pub enum $Name:ident: $Trait:path {
            $($(#[$about:meta])* $kind:literal, $label:literal => $Variant:ident($Settings:ty),)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "kind")]
        pub enum $Name {
            $(
                #[doc = concat!($label, ".")]
                $(#[$about])*
                #[serde(rename = $kind)]
                $Variant($Settings),
            )+
        }

        impl $Name {
            /// Kind in files and readers' name of every member, in the order of the list.
            pub const KINDS: &'static [(&'static str, &'static str)] = &[$(($kind, $label)),+];

            /// Kind, as in files.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$Variant(_) => $kind,)+
                }
            }

            /// Name for readers of a kind; `None` for a kind of another family.
            pub fn label_of(kind: &str) -> Option<&'static str> {
                Self::KINDS.iter().find(|(known, _)| *known == kind).map(|(_, label)| *label)
            }
        }

        impl std::ops::Deref for $Name {
            type Target = dyn $Trait;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$Variant(settings) => settings,)+
                }
            }
        }

        impl std::ops::DerefMut for $Name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $(Self::$Variant(settings) => settings,)+
                }
            }
        }
    };
}

pub(crate) use kinds;

// SPDX-License-Identifier: GPL-2.0

//! Numbers that have names: the specification's enumerations.

/// A name that an enumeration doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{given}`; there are {known}")]
pub struct UnknownName {
    pub(crate) what: &'static str,
    pub(crate) given: String,
    pub(crate) known: String,
}

/// Declares an enumeration from one list of names and numbers.
macro_rules! names {
    (
        $(#[$doc:meta])*
        $enumeration:ident $what:literal {
            $($(#[$entry_doc:meta])* $entry:ident = $number:literal $name:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $enumeration {
            $($(#[$entry_doc])* $entry,)*
            /// A number that this crate has no name for.
            Other(u32),
        }

        impl $enumeration {
            /// All that have a name, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$entry,)*];
            /// Their names, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];
        }

        impl From<u32> for $enumeration {
            fn from(number: u32) -> Self {
                match number {
                    $($number => Self::$entry,)*
                    other => Self::Other(other),
                }
            }
        }

        impl From<$enumeration> for u32 {
            fn from(entry: $enumeration) -> u32 {
                match entry {
                    $($enumeration::$entry => $number,)*
                    $enumeration::Other(other) => other,
                }
            }
        }

        impl std::fmt::Display for $enumeration {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$entry => f.pad($name),)*
                    Self::Other(other) => f.pad(&other.to_string()),
                }
            }
        }

        impl std::str::FromStr for $enumeration {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($name => Ok(Self::$entry),)*
                    _ => Err($crate::UnknownName {
                        what: $what,
                        given: name.to_owned(),
                        known: Self::NAMES.join(", "),
                    }),
                }
            }
        }

        impl serde::Serialize for $enumeration {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

pub(crate) use names;

#[cfg(test)]
mod tests {
    use crate::Scheduler;

    #[test]
    fn a_name_reads_back_as_it_is_written() {
        for scheduler in Scheduler::ALL {
            assert_eq!(scheduler.to_string().parse(), Ok(*scheduler));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let error = "random".parse::<Scheduler>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no scheduler `random`; there are rr, wrr, lc, wlc, mh, sh, saq, cpu"
        );
    }

    #[test]
    fn a_number_without_a_name_is_kept() {
        assert_eq!(Scheduler::from(4711), Scheduler::Other(4711));
        assert_eq!(u32::from(Scheduler::Other(4711)), 4711);
        assert_eq!(Scheduler::Other(4711).to_string(), "4711");
    }
}

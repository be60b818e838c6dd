//! Pure: which part of the centre a screen has asked to see.

use sen_model::{AlertRecord, Field};

/// All of it, or one of the five fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// Everything, also what belongs to no known device.
    All,
    /// Only what belongs to this field.
    Of(Field),
}

impl View {
    /// Every view there is; [`View::index`] is the position in this list.
    pub const EVERY: [Self; 6] = [
        Self::All,
        Self::Of(Field::SocioEconomy),
        Self::Of(Field::Security),
        Self::Of(Field::Transport),
        Self::Of(Field::Environment),
        Self::Of(Field::PublicServices),
    ];

    /// The view of this name; none if there is no such view.
    pub fn named(name: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|view| view.as_str() == name)
    }

    /// The stable name, as in `hello`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Of(field) => field.as_str(),
        }
    }

    /// Position in [`View::EVERY`].
    pub fn index(self) -> usize {
        match self {
            Self::All => 0,
            Self::Of(Field::SocioEconomy) => 1,
            Self::Of(Field::Security) => 2,
            Self::Of(Field::Transport) => 3,
            Self::Of(Field::Environment) => 4,
            Self::Of(Field::PublicServices) => 5,
        }
    }

    /// Whether something of this field is seen; `None` is the field of an unknown device.
    pub fn admits(self, field: Option<Field>) -> bool {
        match self {
            Self::All => true,
            Self::Of(wanted) => field == Some(wanted),
        }
    }

    /// Whether the alert is seen.
    pub fn shows(self, record: &AlertRecord) -> bool {
        self.admits(Some(record.field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_found_by_its_name_and_stands_at_its_index() {
        for (index, view) in View::EVERY.into_iter().enumerate() {
            assert_eq!(View::named(view.as_str()), Some(view));
            assert_eq!(view.index(), index);
        }
        assert_eq!(View::named("everything"), None);
    }

    #[test]
    fn unknown_devices_are_seen_only_where_all_is_seen() {
        assert!(View::All.admits(None));
        assert!(!View::Of(Field::Security).admits(None));
        assert!(!View::Of(Field::Security).admits(Some(Field::Transport)));
    }
}

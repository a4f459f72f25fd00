//! Who somebody is: passwords, access tokens and the keys that sign them, cookies and other random secrets.

pub mod keys;
pub(crate) mod passwords;
pub(crate) mod secrets;

pub use keys::Keys;

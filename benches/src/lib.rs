//! What the benches share: what the product is measured beside, and how figures are taken.

#[cfg(feature = "replog")]
pub mod bare;
#[cfg(feature = "king")]
pub mod bare_serf;
#[cfg(feature = "replog")]
pub mod etcd;
pub mod figures;

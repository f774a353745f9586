//! A private chain for development: anvil, with Ocean's contracts deployed on it.

//! Installs that meet what is there, fail, and are interrupted at every step.

mod conflicts;
mod files;
mod killed;

//! The control plane alone: a scripted SIP peer, clients and media that exist as messages only.

mod clients;
mod figures;
mod fixture;
mod hosts;
mod offers;
mod sign_ins;

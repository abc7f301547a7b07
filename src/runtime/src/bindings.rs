//! The interfaces of `wit/`, generated.
#![allow(missing_docs, reason = "generated code")]

pub use crate::host::{OpenCas, OpenStore};

wasmtime::component::bindgen!({
    path: "wit",
    world: "application",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "fermyon:spin/key-value.store": OpenStore,
        "spin:key-value/key-value.store": OpenStore,
        "wasi:keyvalue/store.bucket": OpenStore,
        "wasi:keyvalue/atomics.cas": OpenCas,
    },
});

;; Exports the default functions; each says which one it is.
(module
  (func (export "main") (result i32) (i32.const 1))
  (func (export "run") (result i32) (i32.const 2))
  (func (export "other") (result i32) (i32.const 3)))

;; Functions of every signature that matters for arguments and results.
(module
  (func (export "i32") (param i32) (result i32) (local.get 0))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "mixed") (param i32 i64 f32 f64) (result f64)
    (f64.add (f64.add (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))
             (f64.add (f64.promote_f32 (local.get 2)) (local.get 3))))
  (func (export "two") (result i32 i32) (i32.const 1) (i32.const 2))
  (func (export "nothing"))
  (func (export "vector") (result v128) (v128.const i32x4 1 2 3 4))
  (func (export "reference") (result externref) (ref.null extern))
  (func (export "takes_reference") (param externref)))

module @jit_branches attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<3x4xf32>, %arg1: tensor<i32>) -> (tensor<3x4xf32> {jax.result_info = "result[0]"}, tensor<3x4xf32> {jax.result_info = "result[1]"}) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %c_0 = stablehlo.constant dense<2> : tensor<i32>
    %0 = stablehlo.clamp %c, %arg1, %c_0 : tensor<i32>
    %1 = "stablehlo.case"(%0) ({
      %7 = stablehlo.sine %arg0 : tensor<3x4xf32>
      stablehlo.return %7 : tensor<3x4xf32>
    }, {
      %7 = stablehlo.cosine %arg0 : tensor<3x4xf32>
      stablehlo.return %7 : tensor<3x4xf32>
    }, {
      %cst_2 = stablehlo.constant dense<2.000000e+00> : tensor<f32>
      %7 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<3x4xf32>
      %8 = stablehlo.multiply %arg0, %7 : tensor<3x4xf32>
      stablehlo.return %8 : tensor<3x4xf32>
    }) : (tensor<i32>) -> tensor<3x4xf32>
    %2 = stablehlo.while(%iterArg = %arg0) : tensor<3x4xf32>
    cond {
      %cst_2 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
      %7 = stablehlo.reduce(%iterArg init: %cst_2) applies stablehlo.add across dimensions = [0, 1] : (tensor<3x4xf32>, tensor<f32>) -> tensor<f32>
      %cst_3 = stablehlo.constant dense<3.000000e+01> : tensor<f32>
      %8 = stablehlo.compare LT, %7, %cst_3, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %8 : tensor<i1>
    } do {
      %cst_2 = stablehlo.constant dense<1.500000e+00> : tensor<f32>
      %7 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<3x4xf32>
      %8 = stablehlo.multiply %iterArg, %7 : tensor<3x4xf32>
      %cst_3 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
      %9 = stablehlo.broadcast_in_dim %cst_3, dims = [] : (tensor<f32>) -> tensor<3x4xf32>
      %10 = stablehlo.add %8, %9 : tensor<3x4xf32>
      stablehlo.return %10 : tensor<3x4xf32>
    }
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %3 = stablehlo.reduce(%arg0 init: %cst) applies stablehlo.add across dimensions = [0, 1] : (tensor<3x4xf32>, tensor<f32>) -> tensor<f32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %4 = stablehlo.compare GT, %3, %cst_1, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %5 = stablehlo.convert %4 : (tensor<i1>) -> tensor<i32>
    %6 = "stablehlo.case"(%5) ({
      %7 = stablehlo.negate %1 : tensor<3x4xf32>
      stablehlo.return %7 : tensor<3x4xf32>
    }, {
      stablehlo.return %1 : tensor<3x4xf32>
    }) : (tensor<i32>) -> tensor<3x4xf32>
    return %6, %2 : tensor<3x4xf32>, tensor<3x4xf32>
  }
}

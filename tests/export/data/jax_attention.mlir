module @jit_attention attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<4x6xf32>, %arg1: tensor<4x6xf32>) -> (tensor<1x4x2x3xf32> {jax.result_info = "result[0]"}, tensor<1x4x2x3xf32> {jax.result_info = "result[1]"}) {
    %0 = stablehlo.reshape %arg0 : (tensor<4x6xf32>) -> tensor<1x4x2x3xf32>
    %1 = stablehlo.reshape %arg1 : (tensor<4x6xf32>) -> tensor<1x4x2x3xf32>
    %2 = stablehlo.reshape %0 : (tensor<1x4x2x3xf32>) -> tensor<1x4x2x1x3xf32>
    %3 = stablehlo.dot_general %2, %1, batching_dims = [0, 2] x [0, 2], contracting_dims = [4] x [3], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x1x3xf32>, tensor<1x4x2x3xf32>) -> tensor<1x2x4x1x4xf32>
    %cst = stablehlo.constant dense<0.577350259> : tensor<f32>
    %4 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<1x2x4x1x4xf32>
    %5 = stablehlo.multiply %3, %4 : tensor<1x2x4x1x4xf32>
    %c = stablehlo.constant dense<true> : tensor<i1>
    %6 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i1>) -> tensor<1x2x4x4xi1>
    %c_0 = stablehlo.constant dense<true> : tensor<i1>
    %7 = stablehlo.broadcast_in_dim %c_0, dims = [] : (tensor<i1>) -> tensor<4x4xi1>
    %8 = call @tril(%7) : (tensor<4x4xi1>) -> tensor<4x4xi1>
    %9 = stablehlo.broadcast_in_dim %8, dims = [2, 3] : (tensor<4x4xi1>) -> tensor<1x1x4x4xi1>
    %10 = stablehlo.broadcast_in_dim %9, dims = [0, 1, 2, 3] : (tensor<1x1x4x4xi1>) -> tensor<1x2x4x4xi1>
    %11 = stablehlo.and %6, %10 : tensor<1x2x4x4xi1>
    %cst_1 = stablehlo.constant dense<-2.38197633E+38> : tensor<f32>
    %12 = call @_where(%11, %5, %cst_1) : (tensor<1x2x4x4xi1>, tensor<1x2x4x1x4xf32>, tensor<f32>) -> tensor<1x1x2x4x4xf32>
    %cst_2 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %13 = stablehlo.reduce(%12 init: %cst_2) applies stablehlo.maximum across dimensions = [4] : (tensor<1x1x2x4x4xf32>, tensor<f32>) -> tensor<1x1x2x4xf32>
    %cst_3 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %14 = stablehlo.broadcast_in_dim %cst_3, dims = [] : (tensor<f32>) -> tensor<1x1x2x4xf32>
    %15 = stablehlo.maximum %14, %13 : tensor<1x1x2x4xf32>
    %16 = stablehlo.broadcast_in_dim %15, dims = [0, 1, 2, 3] : (tensor<1x1x2x4xf32>) -> tensor<1x1x2x4x1xf32>
    %17 = stablehlo.broadcast_in_dim %16, dims = [0, 1, 2, 3, 4] : (tensor<1x1x2x4x1xf32>) -> tensor<1x1x2x4x4xf32>
    %18 = stablehlo.subtract %12, %17 : tensor<1x1x2x4x4xf32>
    %19 = stablehlo.exponential %18 : tensor<1x1x2x4x4xf32>
    %cst_4 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %20 = stablehlo.reduce(%19 init: %cst_4) applies stablehlo.add across dimensions = [4] : (tensor<1x1x2x4x4xf32>, tensor<f32>) -> tensor<1x1x2x4xf32>
    %21 = stablehlo.broadcast_in_dim %20, dims = [0, 1, 2, 3] : (tensor<1x1x2x4xf32>) -> tensor<1x1x2x4x1xf32>
    %22 = stablehlo.broadcast_in_dim %21, dims = [0, 1, 2, 3, 4] : (tensor<1x1x2x4x1xf32>) -> tensor<1x1x2x4x4xf32>
    %23 = stablehlo.divide %19, %22 : tensor<1x1x2x4x4xf32>
    %24 = stablehlo.dot_general %1, %23, batching_dims = [0, 2] x [1, 2], contracting_dims = [1] x [4], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x3xf32>, tensor<1x1x2x4x4xf32>) -> tensor<1x2x3x1x4xf32>
    %25 = stablehlo.transpose %24, dims = [3, 0, 4, 1, 2] : (tensor<1x2x3x1x4xf32>) -> tensor<1x1x4x2x3xf32>
    %26 = stablehlo.transpose %25, dims = [1, 2, 3, 0, 4] : (tensor<1x1x4x2x3xf32>) -> tensor<1x4x2x1x3xf32>
    %27 = stablehlo.reshape %26 : (tensor<1x4x2x1x3xf32>) -> tensor<1x4x2x3xf32>
    %cst_5 = stablehlo.constant dense<5.000000e-01> : tensor<f32>
    %28 = stablehlo.broadcast_in_dim %cst_5, dims = [] : (tensor<f32>) -> tensor<1x4x2x3xf32>
    %29 = stablehlo.multiply %28, %0 : tensor<1x4x2x3xf32>
    %30 = stablehlo.negate %0 : tensor<1x4x2x3xf32>
    %cst_6 = stablehlo.constant dense<0.707106769> : tensor<f32>
    %31 = stablehlo.broadcast_in_dim %cst_6, dims = [] : (tensor<f32>) -> tensor<1x4x2x3xf32>
    %32 = stablehlo.multiply %30, %31 : tensor<1x4x2x3xf32>
    %33 = chlo.erfc %32 : tensor<1x4x2x3xf32> -> tensor<1x4x2x3xf32>
    %34 = stablehlo.multiply %29, %33 : tensor<1x4x2x3xf32>
    return %27, %34 : tensor<1x4x2x3xf32>, tensor<1x4x2x3xf32>
  }
  func.func private @tril(%arg0: tensor<4x4xi1>) -> tensor<4x4xi1> {
    %0 = stablehlo.iota dim = 0 : tensor<4x4xi32>
    %c = stablehlo.constant dense<0> : tensor<i32>
    %1 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<4x4xi32>
    %2 = stablehlo.add %0, %1 : tensor<4x4xi32>
    %3 = stablehlo.iota dim = 1 : tensor<4x4xi32>
    %4 = stablehlo.compare GE, %2, %3, SIGNED : (tensor<4x4xi32>, tensor<4x4xi32>) -> tensor<4x4xi1>
    %c_0 = stablehlo.constant dense<false> : tensor<i1>
    %5 = stablehlo.broadcast_in_dim %c_0, dims = [] : (tensor<i1>) -> tensor<4x4xi1>
    %6 = stablehlo.select %4, %arg0, %5 : tensor<4x4xi1>, tensor<4x4xi1>
    return %6 : tensor<4x4xi1>
  }
  func.func private @_where(%arg0: tensor<1x2x4x4xi1>, %arg1: tensor<1x2x4x1x4xf32>, %arg2: tensor<f32>) -> tensor<1x1x2x4x4xf32> {
    %0 = stablehlo.broadcast_in_dim %arg2, dims = [] : (tensor<f32>) -> tensor<1x2x4x4xf32>
    %1 = stablehlo.broadcast_in_dim %arg0, dims = [1, 2, 3, 4] : (tensor<1x2x4x4xi1>) -> tensor<1x1x2x4x4xi1>
    %2 = stablehlo.broadcast_in_dim %0, dims = [1, 2, 3, 4] : (tensor<1x2x4x4xf32>) -> tensor<1x1x2x4x4xf32>
    %3 = stablehlo.transpose %arg1, dims = [3, 0, 1, 2, 4] : (tensor<1x2x4x1x4xf32>) -> tensor<1x1x2x4x4xf32>
    %4 = stablehlo.select %1, %3, %2 : tensor<1x1x2x4x4xi1>, tensor<1x1x2x4x4xf32>
    return %4 : tensor<1x1x2x4x4xf32>
  }
}

module {
  func.func @main(%arg0: tensor<3x4xf32>, %arg1: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3xf32>, tensor<3xi64>, tensor<3x3xf32>) {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %cst_0 = stablehlo.constant dense<-4.000000e+00> : tensor<3x4xf32>
    %cst_1 = stablehlo.constant dense<4.000000e+00> : tensor<3x4xf32>
    %cst_2 = stablehlo.constant dense<-2.72614237E-10> : tensor<3x4xf32>
    %cst_3 = stablehlo.constant dense<2.77068146E-8> : tensor<3x4xf32>
    %cst_4 = stablehlo.constant dense<-2.10102394E-6> : tensor<3x4xf32>
    %cst_5 = stablehlo.constant dense<-5.69250624E-5> : tensor<3x4xf32>
    %cst_6 = stablehlo.constant dense<-7.34990637E-4> : tensor<3x4xf32>
    %cst_7 = stablehlo.constant dense<-2.954600e-03> : tensor<3x4xf32>
    %cst_8 = stablehlo.constant dense<-0.0160960332> : tensor<3x4xf32>
    %cst_9 = stablehlo.constant dense<-1.45660715E-5> : tensor<3x4xf32>
    %cst_10 = stablehlo.constant dense<-2.13374049E-4> : tensor<3x4xf32>
    %cst_11 = stablehlo.constant dense<-0.00168282702> : tensor<3x4xf32>
    %cst_12 = stablehlo.constant dense<-0.00737332925> : tensor<3x4xf32>
    %cst_13 = stablehlo.constant dense<-0.0142647391> : tensor<3x4xf32>
    %cst_14 = stablehlo.constant dense<-1.000000e+00> : tensor<3x4xf32>
    %cst_15 = stablehlo.constant dense<1.000000e+00> : tensor<3x4xf32>
    %cst_16 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %c = stablehlo.constant dense<0> : tensor<i64>
    %0 = "stablehlo.reduce_window"(%arg0, %cst) <{padding = dense<[[0, 0], [3, 0]]> : tensor<2x2xi64>, window_dilations = array<i64: 1, 1>, window_dimensions = array<i64: 1, 4>, window_strides = array<i64: 1, 1>}> ({
    ^bb0(%arg2: tensor<f32>, %arg3: tensor<f32>):
      %40 = stablehlo.add %arg2, %arg3 : tensor<f32>
      stablehlo.return %40 : tensor<f32>
    }) : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32>
    %1 = stablehlo.compare GT, %arg0, %arg1, FLOAT : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xi1>
    %2 = stablehlo.minimum %arg0, %arg1 : tensor<3x4xf32>
    %3 = stablehlo.clamp %cst_0, %arg0, %cst_1 : tensor<3x4xf32>
    %4 = stablehlo.multiply %3, %3 : tensor<3x4xf32>
    %5 = stablehlo.multiply %cst_2, %4 : tensor<3x4xf32>
    %6 = stablehlo.add %5, %cst_3 : tensor<3x4xf32>
    %7 = stablehlo.multiply %6, %4 : tensor<3x4xf32>
    %8 = stablehlo.add %7, %cst_4 : tensor<3x4xf32>
    %9 = stablehlo.multiply %8, %4 : tensor<3x4xf32>
    %10 = stablehlo.add %9, %cst_5 : tensor<3x4xf32>
    %11 = stablehlo.multiply %10, %4 : tensor<3x4xf32>
    %12 = stablehlo.add %11, %cst_6 : tensor<3x4xf32>
    %13 = stablehlo.multiply %12, %4 : tensor<3x4xf32>
    %14 = stablehlo.add %13, %cst_7 : tensor<3x4xf32>
    %15 = stablehlo.multiply %14, %4 : tensor<3x4xf32>
    %16 = stablehlo.add %15, %cst_8 : tensor<3x4xf32>
    %17 = stablehlo.multiply %cst_9, %4 : tensor<3x4xf32>
    %18 = stablehlo.add %17, %cst_10 : tensor<3x4xf32>
    %19 = stablehlo.multiply %18, %4 : tensor<3x4xf32>
    %20 = stablehlo.add %19, %cst_11 : tensor<3x4xf32>
    %21 = stablehlo.multiply %20, %4 : tensor<3x4xf32>
    %22 = stablehlo.add %21, %cst_12 : tensor<3x4xf32>
    %23 = stablehlo.multiply %22, %4 : tensor<3x4xf32>
    %24 = stablehlo.add %23, %cst_13 : tensor<3x4xf32>
    %25 = stablehlo.multiply %3, %16 : tensor<3x4xf32>
    %26 = stablehlo.divide %25, %24 : tensor<3x4xf32>
    %27 = stablehlo.clamp %cst_14, %26, %cst_15 : tensor<3x4xf32>
    %28 = stablehlo.logistic %arg1 : tensor<3x4xf32>
    %29 = stablehlo.add %27, %28 : tensor<3x4xf32>
    %30 = stablehlo.broadcast_in_dim %1, dims = [0, 1] : (tensor<3x4xi1>) -> tensor<3x4xi1>
    %31 = stablehlo.broadcast_in_dim %2, dims = [0, 1] : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %32 = stablehlo.broadcast_in_dim %29, dims = [0, 1] : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %33 = stablehlo.select %30, %31, %32 : tensor<3x4xi1>, tensor<3x4xf32>
    %34 = stablehlo.reduce(%33 init: %cst_16) applies stablehlo.maximum across dimensions = [1] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3xf32>
    %35 = stablehlo.iota dim = 1 : tensor<3x4xi64>
    %36:2 = stablehlo.reduce(%arg0 init: %cst_16), (%35 init: %c) across dimensions = [1] : (tensor<3x4xf32>, tensor<3x4xi64>, tensor<f32>, tensor<i64>) -> (tensor<3xf32>, tensor<3xi64>)
     reducer(%arg2: tensor<f32>, %arg4: tensor<f32>) (%arg3: tensor<i64>, %arg5: tensor<i64>)  {
      %40 = stablehlo.compare GE, %arg2, %arg4, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %41 = stablehlo.select %40, %arg2, %arg4 : tensor<i1>, tensor<f32>
      %42 = stablehlo.compare EQ, %arg2, %arg4, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %43 = stablehlo.minimum %arg3, %arg5 : tensor<i64>
      %44 = stablehlo.select %40, %arg3, %arg5 : tensor<i1>, tensor<i64>
      %45 = stablehlo.select %42, %43, %44 : tensor<i1>, tensor<i64>
      stablehlo.return %41, %45 : tensor<f32>, tensor<i64>
    }
    %37 = stablehlo.reverse %arg0, dims = [0] : tensor<3x4xf32>
    %38 = stablehlo.transpose %arg1, dims = [1, 0] : (tensor<3x4xf32>) -> tensor<4x3xf32>
    %39 = stablehlo.dot_general %37, %38, contracting_dims = [1] x [0] : (tensor<3x4xf32>, tensor<4x3xf32>) -> tensor<3x3xf32>
    return %0, %34, %36#1, %39 : tensor<3x4xf32>, tensor<3xf32>, tensor<3xi64>, tensor<3x3xf32>
  }
}

module {
  func.func @main(%arg0: tensor<3x4xf32>) -> tensor<3x2xf32> {
    %cst = stablehlo.constant dense_resource<torch_tensor_2_torch.float32> : tensor<2xf32>
    %cst_0 = stablehlo.constant dense_resource<torch_tensor_2_5_torch.float32> : tensor<2x5xf32>
    %cst_1 = stablehlo.constant dense_resource<torch_tensor_5_torch.float32> : tensor<5xf32>
    %cst_2 = stablehlo.constant dense_resource<torch_tensor_5_4_torch.float32> : tensor<5x4xf32>
    %cst_3 = stablehlo.constant dense<1.000000e+00> : tensor<3x5xf32>
    %cst_4 = stablehlo.constant dense<2.000000e+00> : tensor<3x5xf32>
    %cst_5 = stablehlo.constant dense<5.000000e-01> : tensor<3x5xf32>
    %cst_6 = stablehlo.constant dense<-4.000000e+00> : tensor<3x5xf32>
    %cst_7 = stablehlo.constant dense<4.000000e+00> : tensor<3x5xf32>
    %cst_8 = stablehlo.constant dense<-2.72614237E-10> : tensor<3x5xf32>
    %cst_9 = stablehlo.constant dense<2.77068146E-8> : tensor<3x5xf32>
    %cst_10 = stablehlo.constant dense<-2.10102394E-6> : tensor<3x5xf32>
    %cst_11 = stablehlo.constant dense<-5.69250624E-5> : tensor<3x5xf32>
    %cst_12 = stablehlo.constant dense<-7.34990637E-4> : tensor<3x5xf32>
    %cst_13 = stablehlo.constant dense<-2.954600e-03> : tensor<3x5xf32>
    %cst_14 = stablehlo.constant dense<-0.0160960332> : tensor<3x5xf32>
    %cst_15 = stablehlo.constant dense<-1.45660715E-5> : tensor<3x5xf32>
    %cst_16 = stablehlo.constant dense<-2.13374049E-4> : tensor<3x5xf32>
    %cst_17 = stablehlo.constant dense<-0.00168282702> : tensor<3x5xf32>
    %cst_18 = stablehlo.constant dense<-0.00737332925> : tensor<3x5xf32>
    %cst_19 = stablehlo.constant dense<-0.0142647391> : tensor<3x5xf32>
    %cst_20 = stablehlo.constant dense<-1.000000e+00> : tensor<3x5xf32>
    %cst_21 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %cst_22 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %cst_23 = arith.constant dense<1> : tensor<1xi64>
    %0 = stablehlo.transpose %cst_2, dims = [1, 0] : (tensor<5x4xf32>) -> tensor<4x5xf32>
    %1 = stablehlo.dot_general %arg0, %0, contracting_dims = [1] x [0] : (tensor<3x4xf32>, tensor<4x5xf32>) -> tensor<3x5xf32>
    %2 = stablehlo.convert %cst_23 : (tensor<1xi64>) -> tensor<1xf32>
    %3 = stablehlo.reshape %2 : (tensor<1xf32>) -> tensor<f32>
    %4 = stablehlo.broadcast_in_dim %3, dims = [] : (tensor<f32>) -> tensor<3x5xf32>
    %5 = stablehlo.multiply %1, %4 : tensor<3x5xf32>
    %6 = stablehlo.broadcast_in_dim %3, dims = [] : (tensor<f32>) -> tensor<5xf32>
    %7 = stablehlo.multiply %6, %cst_1 : tensor<5xf32>
    %8 = stablehlo.broadcast_in_dim %7, dims = [1] : (tensor<5xf32>) -> tensor<3x5xf32>
    %9 = stablehlo.add %5, %8 : tensor<3x5xf32>
    %10 = stablehlo.multiply %9, %cst_5 : tensor<3x5xf32>
    %11 = stablehlo.rsqrt %cst_4 : tensor<3x5xf32>
    %12 = stablehlo.multiply %9, %11 : tensor<3x5xf32>
    %13 = stablehlo.clamp %cst_6, %12, %cst_7 : tensor<3x5xf32>
    %14 = stablehlo.multiply %13, %13 : tensor<3x5xf32>
    %15 = stablehlo.multiply %cst_8, %14 : tensor<3x5xf32>
    %16 = stablehlo.add %15, %cst_9 : tensor<3x5xf32>
    %17 = stablehlo.multiply %16, %14 : tensor<3x5xf32>
    %18 = stablehlo.add %17, %cst_10 : tensor<3x5xf32>
    %19 = stablehlo.multiply %18, %14 : tensor<3x5xf32>
    %20 = stablehlo.add %19, %cst_11 : tensor<3x5xf32>
    %21 = stablehlo.multiply %20, %14 : tensor<3x5xf32>
    %22 = stablehlo.add %21, %cst_12 : tensor<3x5xf32>
    %23 = stablehlo.multiply %22, %14 : tensor<3x5xf32>
    %24 = stablehlo.add %23, %cst_13 : tensor<3x5xf32>
    %25 = stablehlo.multiply %24, %14 : tensor<3x5xf32>
    %26 = stablehlo.add %25, %cst_14 : tensor<3x5xf32>
    %27 = stablehlo.multiply %cst_15, %14 : tensor<3x5xf32>
    %28 = stablehlo.add %27, %cst_16 : tensor<3x5xf32>
    %29 = stablehlo.multiply %28, %14 : tensor<3x5xf32>
    %30 = stablehlo.add %29, %cst_17 : tensor<3x5xf32>
    %31 = stablehlo.multiply %30, %14 : tensor<3x5xf32>
    %32 = stablehlo.add %31, %cst_18 : tensor<3x5xf32>
    %33 = stablehlo.multiply %32, %14 : tensor<3x5xf32>
    %34 = stablehlo.add %33, %cst_19 : tensor<3x5xf32>
    %35 = stablehlo.multiply %13, %26 : tensor<3x5xf32>
    %36 = stablehlo.divide %35, %34 : tensor<3x5xf32>
    %37 = stablehlo.clamp %cst_20, %36, %cst_3 : tensor<3x5xf32>
    %38 = stablehlo.add %37, %cst_3 : tensor<3x5xf32>
    %39 = stablehlo.multiply %38, %10 : tensor<3x5xf32>
    %40 = stablehlo.transpose %cst_0, dims = [1, 0] : (tensor<2x5xf32>) -> tensor<5x2xf32>
    %41 = stablehlo.dot_general %39, %40, contracting_dims = [1] x [0] : (tensor<3x5xf32>, tensor<5x2xf32>) -> tensor<3x2xf32>
    %42 = stablehlo.broadcast_in_dim %3, dims = [] : (tensor<f32>) -> tensor<3x2xf32>
    %43 = stablehlo.multiply %41, %42 : tensor<3x2xf32>
    %44 = stablehlo.broadcast_in_dim %3, dims = [] : (tensor<f32>) -> tensor<2xf32>
    %45 = stablehlo.multiply %44, %cst : tensor<2xf32>
    %46 = stablehlo.broadcast_in_dim %45, dims = [1] : (tensor<2xf32>) -> tensor<3x2xf32>
    %47 = stablehlo.add %43, %46 : tensor<3x2xf32>
    %48 = stablehlo.reduce(%47 init: %cst_21) applies stablehlo.maximum across dimensions = [1] : (tensor<3x2xf32>, tensor<f32>) -> tensor<3xf32>
    %49 = stablehlo.reshape %48 : (tensor<3xf32>) -> tensor<3x1xf32>
    %50 = stablehlo.broadcast_in_dim %49, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x2xf32>
    %51 = stablehlo.subtract %47, %50 : tensor<3x2xf32>
    %52 = stablehlo.exponential %51 : tensor<3x2xf32>
    %53 = stablehlo.reduce(%52 init: %cst_22) applies stablehlo.add across dimensions = [1] : (tensor<3x2xf32>, tensor<f32>) -> tensor<3xf32>
    %54 = stablehlo.reshape %53 : (tensor<3xf32>) -> tensor<3x1xf32>
    %55 = stablehlo.broadcast_in_dim %54, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x2xf32>
    %56 = stablehlo.divide %52, %55 : tensor<3x2xf32>
    return %56 : tensor<3x2xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      torch_tensor_2_torch.float32: "0x040000009072D6BE38A985BE",
      torch_tensor_2_5_torch.float32: "0x0400000031D4413D7654CF3E6C69D4BEBD2590BE55DFE7BDF38132BE4AD5C53E776A94BED4CE52BE55F89FBE",
      torch_tensor_5_torch.float32: "0x0400000098F7393E4E94D43E48BDD2BD5C91BF3E400DA5BD",
      torch_tensor_5_4_torch.float32: "0x04000000005475BB5E54893E16B3D2BE8066BCBEF43245BEEC4B093E404F22BCCEFACA3E70BF35BD4C7B073EACBB1ABE7048C9BDB891F4BE528BA9BEE80E53BE00BB973C60694A3E189B993E8C8DADBEFCF45EBE"
    }
  }
#-}

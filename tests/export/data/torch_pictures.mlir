module {
  func.func @main(%arg0: tensor<2x2x6x6xf32>) -> tensor<2x4xf32> {
    %cst = stablehlo.constant dense_resource<torch_tensor_4_torch.float32> : tensor<4xf32>
    %cst_0 = stablehlo.constant dense_resource<torch_tensor_4_3_torch.float32> : tensor<4x3xf32>
    %cst_1 = stablehlo.constant dense_resource<torch_tensor_3_torch.float32_4> : tensor<3xf32>
    %cst_2 = stablehlo.constant dense_resource<torch_tensor_3_torch.float32_3> : tensor<3xf32>
    %cst_3 = stablehlo.constant dense_resource<torch_tensor_3_torch.float32_2> : tensor<3xf32>
    %cst_4 = stablehlo.constant dense_resource<torch_tensor_3_torch.float32_1> : tensor<3xf32>
    %cst_5 = stablehlo.constant dense_resource<torch_tensor_3_2_3_3_torch.float32> : tensor<3x2x3x3xf32>
    %cst_6 = stablehlo.constant dense_resource<torch_tensor_3_torch.float32> : tensor<3xf32>
    %cst_7 = stablehlo.constant dense<1.000000e+00> : tensor<3xf32>
    %cst_8 = stablehlo.constant dense<0.000000e+00> : tensor<2x3x6x6xf32>
    %cst_9 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %cst_10 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %cst_11 = arith.constant dense<1.000000e-05> : tensor<1xf64>
    %cst_12 = arith.constant dense<1> : tensor<1xi64>
    %cst_13 = arith.constant dense<9> : tensor<1xi64>
    %0 = stablehlo.convolution(%arg0, %cst_5) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1], window = {stride = [1, 1], pad = [[1, 1], [1, 1]], rhs_dilate = [1, 1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<2x2x6x6xf32>, tensor<3x2x3x3xf32>) -> tensor<2x3x6x6xf32>
    %1 = stablehlo.reshape %cst_6 : (tensor<3xf32>) -> tensor<3x1x1xf32>
    %2 = stablehlo.broadcast_in_dim %1, dims = [1, 2, 3] : (tensor<3x1x1xf32>) -> tensor<2x3x6x6xf32>
    %3 = stablehlo.add %0, %2 : tensor<2x3x6x6xf32>
    %4 = stablehlo.convert %cst_11 : (tensor<1xf64>) -> tensor<1xf32>
    %5 = stablehlo.reshape %4 : (tensor<1xf32>) -> tensor<f32>
    %6 = stablehlo.broadcast_in_dim %5, dims = [] : (tensor<f32>) -> tensor<3xf32>
    %7 = stablehlo.add %6, %cst_3 : tensor<3xf32>
    %8 = stablehlo.sqrt %7 : tensor<3xf32>
    %9 = stablehlo.divide %cst_7, %8 : tensor<3xf32>
    %10 = stablehlo.convert %cst_12 : (tensor<1xi64>) -> tensor<1xf32>
    %11 = stablehlo.reshape %10 : (tensor<1xf32>) -> tensor<f32>
    %12 = stablehlo.broadcast_in_dim %11, dims = [] : (tensor<f32>) -> tensor<3xf32>
    %13 = stablehlo.multiply %9, %12 : tensor<3xf32>
    %14 = stablehlo.reshape %cst_4 : (tensor<3xf32>) -> tensor<3x1xf32>
    %15 = stablehlo.reshape %14 : (tensor<3x1xf32>) -> tensor<3x1x1xf32>
    %16 = stablehlo.reshape %13 : (tensor<3xf32>) -> tensor<3x1xf32>
    %17 = stablehlo.reshape %16 : (tensor<3x1xf32>) -> tensor<3x1x1xf32>
    %18 = stablehlo.broadcast_in_dim %15, dims = [1, 2, 3] : (tensor<3x1x1xf32>) -> tensor<2x3x6x6xf32>
    %19 = stablehlo.subtract %3, %18 : tensor<2x3x6x6xf32>
    %20 = stablehlo.broadcast_in_dim %17, dims = [1, 2, 3] : (tensor<3x1x1xf32>) -> tensor<2x3x6x6xf32>
    %21 = stablehlo.multiply %19, %20 : tensor<2x3x6x6xf32>
    %22 = stablehlo.reshape %cst_2 : (tensor<3xf32>) -> tensor<3x1xf32>
    %23 = stablehlo.reshape %22 : (tensor<3x1xf32>) -> tensor<3x1x1xf32>
    %24 = stablehlo.broadcast_in_dim %23, dims = [1, 2, 3] : (tensor<3x1x1xf32>) -> tensor<2x3x6x6xf32>
    %25 = stablehlo.multiply %21, %24 : tensor<2x3x6x6xf32>
    %26 = stablehlo.reshape %cst_1 : (tensor<3xf32>) -> tensor<3x1xf32>
    %27 = stablehlo.reshape %26 : (tensor<3x1xf32>) -> tensor<3x1x1xf32>
    %28 = stablehlo.broadcast_in_dim %27, dims = [1, 2, 3] : (tensor<3x1x1xf32>) -> tensor<2x3x6x6xf32>
    %29 = stablehlo.add %25, %28 : tensor<2x3x6x6xf32>
    %30 = stablehlo.maximum %29, %cst_8 : tensor<2x3x6x6xf32>
    %31 = "stablehlo.reduce_window"(%30, %cst_9) <{padding = dense<0> : tensor<4x2xi64>, window_dilations = array<i64: 1, 1, 1, 1>, window_dimensions = array<i64: 1, 1, 2, 2>, window_strides = array<i64: 1, 1, 2, 2>}> ({
    ^bb0(%arg1: tensor<f32>, %arg2: tensor<f32>):
      %55 = stablehlo.maximum %arg1, %arg2 : tensor<f32>
      stablehlo.return %55 : tensor<f32>
    }) : (tensor<2x3x6x6xf32>, tensor<f32>) -> tensor<2x3x3x3xf32>
    %32 = stablehlo.reduce(%31 init: %cst_10) applies stablehlo.add across dimensions = [2, 3] : (tensor<2x3x3x3xf32>, tensor<f32>) -> tensor<2x3xf32>
    %33 = stablehlo.convert %cst_13 : (tensor<1xi64>) -> tensor<1xf32>
    %34 = stablehlo.reshape %33 : (tensor<1xf32>) -> tensor<f32>
    %35 = stablehlo.broadcast_in_dim %34, dims = [] : (tensor<f32>) -> tensor<2x3xf32>
    %36 = stablehlo.divide %32, %35 : tensor<2x3xf32>
    %37 = stablehlo.transpose %cst_0, dims = [1, 0] : (tensor<4x3xf32>) -> tensor<3x4xf32>
    %38 = stablehlo.dot_general %36, %37, contracting_dims = [1] x [0] : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
    %39 = stablehlo.broadcast_in_dim %11, dims = [] : (tensor<f32>) -> tensor<2x4xf32>
    %40 = stablehlo.multiply %38, %39 : tensor<2x4xf32>
    %41 = stablehlo.broadcast_in_dim %11, dims = [] : (tensor<f32>) -> tensor<4xf32>
    %42 = stablehlo.multiply %41, %cst : tensor<4xf32>
    %43 = stablehlo.broadcast_in_dim %42, dims = [1] : (tensor<4xf32>) -> tensor<2x4xf32>
    %44 = stablehlo.add %40, %43 : tensor<2x4xf32>
    %45 = stablehlo.reduce(%44 init: %cst_9) applies stablehlo.maximum across dimensions = [1] : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>
    %46 = stablehlo.reshape %45 : (tensor<2xf32>) -> tensor<2x1xf32>
    %47 = stablehlo.broadcast_in_dim %46, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x4xf32>
    %48 = stablehlo.subtract %44, %47 : tensor<2x4xf32>
    %49 = stablehlo.exponential %48 : tensor<2x4xf32>
    %50 = stablehlo.reduce(%49 init: %cst_10) applies stablehlo.add across dimensions = [1] : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>
    %51 = stablehlo.reshape %50 : (tensor<2xf32>) -> tensor<2x1xf32>
    %52 = stablehlo.log %51 : tensor<2x1xf32>
    %53 = stablehlo.broadcast_in_dim %52, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x4xf32>
    %54 = stablehlo.subtract %48, %53 : tensor<2x4xf32>
    return %54 : tensor<2x4xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      torch_tensor_4_torch.float32: "0x04000000529BDEBEFF03E4BE104D02BD9488B13D",
      torch_tensor_4_3_torch.float32: "0x04000000D64812BFC8C1BFBE6499933E107BF73D6E98E6BED336AABE580B0B3FCD2EC73EF7E380BE38CC14BEACCB0CBFDC052ABC",
      torch_tensor_3_torch.float32_4: "0x04000000000000000000000000000000",
      torch_tensor_3_torch.float32_3: "0x040000000000803F0000803F0000803F",
      torch_tensor_3_torch.float32_2: "0x040000000000803F0000803F0000803F",
      torch_tensor_3_torch.float32_1: "0x04000000000000000000000000000000",
      torch_tensor_3_2_3_3_torch.float32: "0x04000000C9784F3ED265D73DD5F5E93D62184B3C4F7BF7BD4A56233D115B61BEE0652EBE11DBF8BD5A48183E94830D3E4915D6BD4C570BBC225D1A3E6EF16F3E0F95BF3D6F6C023DF7D3213EE11C0EBE40E7333D86203BBE5C4827BE435DF9BDC06ADA3D5221C23D3DF80EBE25D5913DD97F043EAEB5F3BC8A72133C39B25F3DCABB153E69C0673E3DFF39BED1E6B0BD8AB6BD3D5BFA473E5008523E00F7543ECA22403DB7E151BE36A0B13CDDFE16BE85EF60BE1D72563E0F85373E31C370BEE6B3343D2FA322BD93DF1EBDB4F7DCBDDDA1B93D36F50EBED8F5B03D",
      torch_tensor_3_torch.float32: "0x04000000511DF43D3AC82C3E657EB43D"
    }
  }
#-}

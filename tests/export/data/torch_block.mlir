module {
  func.func @main(%arg0: tensor<2x5xi64>) -> tensor<2x5x8xf32> {
    %c = stablehlo.constant dense<0> : tensor<5x5xi64>
    %c_0 = stablehlo.constant dense<0> : tensor<5xi64>
    %c_1 = stablehlo.constant dense<1> : tensor<5xi64>
    %c_2 = stablehlo.constant dense<5> : tensor<i64>
    %c_3 = stablehlo.constant dense<1> : tensor<i64>
    %cst = stablehlo.constant dense<-1.000000e+09> : tensor<f32>
    %c_4 = stablehlo.constant dense<true> : tensor<5x5xi1>
    %cst_5 = stablehlo.constant dense_resource<torch_tensor_8_torch.float32_2> : tensor<8xf32>
    %cst_6 = stablehlo.constant dense_resource<torch_tensor_8_8_torch.float32> : tensor<8x8xf32>
    %cst_7 = stablehlo.constant dense_resource<torch_tensor_24_torch.float32> : tensor<24xf32>
    %cst_8 = stablehlo.constant dense_resource<torch_tensor_24_8_torch.float32> : tensor<24x8xf32>
    %cst_9 = stablehlo.constant dense_resource<torch_tensor_8_torch.float32_1> : tensor<8xf32>
    %cst_10 = stablehlo.constant dense_resource<torch_tensor_8_torch.float32> : tensor<8xf32>
    %cst_11 = stablehlo.constant dense_resource<torch_tensor_7_8_torch.float32> : tensor<7x8xf32>
    %cst_12 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %cst_13 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %cst_14 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %cst_15 = arith.constant dense<8> : tensor<1xi64>
    %cst_16 = arith.constant dense<1.000000e-05> : tensor<1xf64>
    %cst_17 = arith.constant dense<1> : tensor<1xi64>
    %cst_18 = arith.constant dense<2.8284271247461903> : tensor<1xf64>
    %0 = "stablehlo.gather"(%cst_11, %arg0) <{dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, indices_are_sorted = false, slice_sizes = array<i64: 1, 8>}> : (tensor<7x8xf32>, tensor<2x5xi64>) -> tensor<2x5x8xf32>
    %1 = stablehlo.convert %0 : tensor<2x5x8xf32>
    %2 = stablehlo.convert %1 : (tensor<2x5x8xf32>) -> tensor<2x5x8xf64>
    %3 = stablehlo.reduce(%2 init: %cst_12) applies stablehlo.add across dimensions = [2] : (tensor<2x5x8xf64>, tensor<f64>) -> tensor<2x5xf64>
    %4 = stablehlo.reshape %3 : (tensor<2x5xf64>) -> tensor<2x5x1xf64>
    %5 = stablehlo.convert %cst_15 : (tensor<1xi64>) -> tensor<1xf64>
    %6 = stablehlo.reshape %5 : (tensor<1xf64>) -> tensor<f64>
    %7 = stablehlo.broadcast_in_dim %6, dims = [] : (tensor<f64>) -> tensor<2x5x1xf64>
    %8 = stablehlo.divide %4, %7 : tensor<2x5x1xf64>
    %9 = stablehlo.broadcast_in_dim %8, dims = [0, 1, 2] : (tensor<2x5x1xf64>) -> tensor<2x5x8xf64>
    %10 = stablehlo.subtract %2, %9 : tensor<2x5x8xf64>
    %11 = stablehlo.multiply %10, %10 : tensor<2x5x8xf64>
    %12 = stablehlo.reduce(%11 init: %cst_12) applies stablehlo.add across dimensions = [2] : (tensor<2x5x8xf64>, tensor<f64>) -> tensor<2x5xf64>
    %13 = stablehlo.reshape %12 : (tensor<2x5xf64>) -> tensor<2x5x1xf64>
    %14 = stablehlo.divide %13, %7 : tensor<2x5x1xf64>
    %15 = stablehlo.convert %14 : (tensor<2x5x1xf64>) -> tensor<2x5x1xf32>
    %16 = stablehlo.reduce(%1 init: %cst_13) applies stablehlo.add across dimensions = [2] : (tensor<2x5x8xf32>, tensor<f32>) -> tensor<2x5xf32>
    %17 = stablehlo.reshape %16 : (tensor<2x5xf32>) -> tensor<2x5x1xf32>
    %18 = stablehlo.convert %cst_15 : (tensor<1xi64>) -> tensor<1xf32>
    %19 = stablehlo.reshape %18 : (tensor<1xf32>) -> tensor<f32>
    %20 = stablehlo.broadcast_in_dim %19, dims = [] : (tensor<f32>) -> tensor<2x5x1xf32>
    %21 = stablehlo.divide %17, %20 : tensor<2x5x1xf32>
    %22 = stablehlo.convert %cst_16 : (tensor<1xf64>) -> tensor<1xf32>
    %23 = stablehlo.reshape %22 : (tensor<1xf32>) -> tensor<f32>
    %24 = stablehlo.broadcast_in_dim %23, dims = [] : (tensor<f32>) -> tensor<2x5x1xf32>
    %25 = stablehlo.add %15, %24 : tensor<2x5x1xf32>
    %26 = stablehlo.rsqrt %25 : tensor<2x5x1xf32>
    %27 = stablehlo.broadcast_in_dim %21, dims = [0, 1, 2] : (tensor<2x5x1xf32>) -> tensor<2x5x8xf32>
    %28 = stablehlo.subtract %1, %27 : tensor<2x5x8xf32>
    %29 = stablehlo.broadcast_in_dim %26, dims = [0, 1, 2] : (tensor<2x5x1xf32>) -> tensor<2x5x8xf32>
    %30 = stablehlo.multiply %28, %29 : tensor<2x5x8xf32>
    %31 = stablehlo.broadcast_in_dim %cst_10, dims = [2] : (tensor<8xf32>) -> tensor<2x5x8xf32>
    %32 = stablehlo.multiply %30, %31 : tensor<2x5x8xf32>
    %33 = stablehlo.broadcast_in_dim %cst_9, dims = [2] : (tensor<8xf32>) -> tensor<2x5x8xf32>
    %34 = stablehlo.add %32, %33 : tensor<2x5x8xf32>
    %35 = stablehlo.reshape %34 : (tensor<2x5x8xf32>) -> tensor<10x8xf32>
    %36 = stablehlo.transpose %cst_8, dims = [1, 0] : (tensor<24x8xf32>) -> tensor<8x24xf32>
    %37 = stablehlo.dot_general %35, %36, contracting_dims = [1] x [0] : (tensor<10x8xf32>, tensor<8x24xf32>) -> tensor<10x24xf32>
    %38 = stablehlo.convert %cst_17 : (tensor<1xi64>) -> tensor<1xf32>
    %39 = stablehlo.reshape %38 : (tensor<1xf32>) -> tensor<f32>
    %40 = stablehlo.broadcast_in_dim %39, dims = [] : (tensor<f32>) -> tensor<10x24xf32>
    %41 = stablehlo.multiply %37, %40 : tensor<10x24xf32>
    %42 = stablehlo.broadcast_in_dim %39, dims = [] : (tensor<f32>) -> tensor<24xf32>
    %43 = stablehlo.multiply %42, %cst_7 : tensor<24xf32>
    %44 = stablehlo.broadcast_in_dim %43, dims = [1] : (tensor<24xf32>) -> tensor<10x24xf32>
    %45 = stablehlo.add %41, %44 : tensor<10x24xf32>
    %46 = stablehlo.reshape %45 : (tensor<10x24xf32>) -> tensor<2x5x24xf32>
    %47 = stablehlo.slice %46 [0:2, 0:5, 0:8] : (tensor<2x5x24xf32>) -> tensor<2x5x8xf32>
    %48 = stablehlo.slice %46 [0:2, 0:5, 8:16] : (tensor<2x5x24xf32>) -> tensor<2x5x8xf32>
    %49 = stablehlo.slice %46 [0:2, 0:5, 16:24] : (tensor<2x5x24xf32>) -> tensor<2x5x8xf32>
    %50 = stablehlo.transpose %48, dims = [0, 2, 1] : (tensor<2x5x8xf32>) -> tensor<2x8x5xf32>
    %51 = stablehlo.reshape %47 : (tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
    %52 = stablehlo.reshape %50 : (tensor<2x8x5xf32>) -> tensor<2x8x5xf32>
    %53 = stablehlo.broadcast_in_dim %52, dims = [0, 1, 2] : (tensor<2x8x5xf32>) -> tensor<2x8x5xf32>
    %54 = stablehlo.dot_general %51, %53, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<2x5x8xf32>, tensor<2x8x5xf32>) -> tensor<2x5x5xf32>
    %55 = stablehlo.reshape %54 : (tensor<2x5x5xf32>) -> tensor<2x5x5xf32>
    %56 = stablehlo.convert %cst_18 : (tensor<1xf64>) -> tensor<1xf32>
    %57 = stablehlo.reshape %56 : (tensor<1xf32>) -> tensor<f32>
    %58 = stablehlo.broadcast_in_dim %57, dims = [] : (tensor<f32>) -> tensor<2x5x5xf32>
    %59 = stablehlo.divide %55, %58 : tensor<2x5x5xf32>
    %60 = stablehlo.convert %c_3 : (tensor<i64>) -> tensor<f64>
    %61 = stablehlo.convert %c_2 : (tensor<i64>) -> tensor<f64>
    %62 = stablehlo.divide %61, %60 : tensor<f64>
    %63 = stablehlo.ceil %62 : tensor<f64>
    %64 = stablehlo.convert %63 : (tensor<f64>) -> tensor<i64>
    %65 = stablehlo.reshape %64 : (tensor<i64>) -> tensor<1xi64>
    %66 = stablehlo.dynamic_iota %65, dim = 0 : (tensor<1xi64>) -> tensor<5xi64>
    %67 = stablehlo.multiply %66, %c_1 : tensor<5xi64>
    %68 = stablehlo.add %67, %c_0 : tensor<5xi64>
    %69 = stablehlo.reshape %68 : (tensor<5xi64>) -> tensor<1x5xi64>
    %70 = stablehlo.reshape %68 : (tensor<5xi64>) -> tensor<5x1xi64>
    %71 = stablehlo.broadcast_in_dim %69, dims = [0, 1] : (tensor<1x5xi64>) -> tensor<5x5xi64>
    %72 = stablehlo.broadcast_in_dim %70, dims = [0, 1] : (tensor<5x1xi64>) -> tensor<5x5xi64>
    %73 = stablehlo.subtract %71, %72 : tensor<5x5xi64>
    %74 = stablehlo.compare LE, %73, %c, SIGNED : (tensor<5x5xi64>, tensor<5x5xi64>) -> tensor<5x5xi1>
    %75 = stablehlo.and %74, %c_4 : tensor<5x5xi1>
    %76 = stablehlo.not %75 : tensor<5x5xi1>
    %77 = stablehlo.reshape %76 : (tensor<5x5xi1>) -> tensor<1x5x5xi1>
    %78 = stablehlo.broadcast_in_dim %77, dims = [0, 1, 2] : (tensor<1x5x5xi1>) -> tensor<2x5x5xi1>
    %79 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2x5x5xf32>
    %80 = stablehlo.broadcast_in_dim %59, dims = [0, 1, 2] : (tensor<2x5x5xf32>) -> tensor<2x5x5xf32>
    %81 = stablehlo.select %78, %79, %80 : tensor<2x5x5xi1>, tensor<2x5x5xf32>
    %82 = stablehlo.reduce(%81 init: %cst_14) applies stablehlo.maximum across dimensions = [2] : (tensor<2x5x5xf32>, tensor<f32>) -> tensor<2x5xf32>
    %83 = stablehlo.reshape %82 : (tensor<2x5xf32>) -> tensor<2x5x1xf32>
    %84 = stablehlo.broadcast_in_dim %83, dims = [0, 1, 2] : (tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
    %85 = stablehlo.subtract %81, %84 : tensor<2x5x5xf32>
    %86 = stablehlo.exponential %85 : tensor<2x5x5xf32>
    %87 = stablehlo.reduce(%86 init: %cst_13) applies stablehlo.add across dimensions = [2] : (tensor<2x5x5xf32>, tensor<f32>) -> tensor<2x5xf32>
    %88 = stablehlo.reshape %87 : (tensor<2x5xf32>) -> tensor<2x5x1xf32>
    %89 = stablehlo.broadcast_in_dim %88, dims = [0, 1, 2] : (tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
    %90 = stablehlo.divide %86, %89 : tensor<2x5x5xf32>
    %91 = stablehlo.reshape %90 : (tensor<2x5x5xf32>) -> tensor<2x5x5xf32>
    %92 = stablehlo.reshape %49 : (tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
    %93 = stablehlo.broadcast_in_dim %92, dims = [0, 1, 2] : (tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
    %94 = stablehlo.dot_general %91, %93, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<2x5x5xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
    %95 = stablehlo.reshape %94 : (tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
    %96 = stablehlo.reshape %95 : (tensor<2x5x8xf32>) -> tensor<10x8xf32>
    %97 = stablehlo.transpose %cst_6, dims = [1, 0] : (tensor<8x8xf32>) -> tensor<8x8xf32>
    %98 = stablehlo.dot_general %96, %97, contracting_dims = [1] x [0] : (tensor<10x8xf32>, tensor<8x8xf32>) -> tensor<10x8xf32>
    %99 = stablehlo.broadcast_in_dim %39, dims = [] : (tensor<f32>) -> tensor<10x8xf32>
    %100 = stablehlo.multiply %98, %99 : tensor<10x8xf32>
    %101 = stablehlo.broadcast_in_dim %39, dims = [] : (tensor<f32>) -> tensor<8xf32>
    %102 = stablehlo.multiply %101, %cst_5 : tensor<8xf32>
    %103 = stablehlo.broadcast_in_dim %102, dims = [1] : (tensor<8xf32>) -> tensor<10x8xf32>
    %104 = stablehlo.add %100, %103 : tensor<10x8xf32>
    %105 = stablehlo.reshape %104 : (tensor<10x8xf32>) -> tensor<2x5x8xf32>
    %106 = stablehlo.add %1, %105 : tensor<2x5x8xf32>
    return %106 : tensor<2x5x8xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      torch_tensor_8_torch.float32_2: "0x04000000BE349C3D24218EBE58CFE63D4658423ECCBD493DEA3B72BE0D598CBED063DFBD",
      torch_tensor_8_8_torch.float32: "0x04000000B88151BE2CE98B3E0C85673E594BD73C65EE2ABE8D5DA63E660D143E846B89BE2140AD3E1A76893EB5F503BE8D854B3ED6B44DBE53F262BD28B4993E92586F3C290580BEAF02F2BD1B8CC4BD03B28BBDDC960A3D7B69A73EC5119B3C83895FBEBF72943CC8972D3EF395333EC770A5BE739181BD068686BE077A1ABEAD70023E1C8C80BE5A94063E2FA5993ED3F6BD3C584B71BE88B601BECD1C9E3D8AFE89BE53DD333E8A57A4BE3F03AEBEADE3AFBE85E392BD5C72733EBC54ABBE0076963EE1D210BE1C12D43D8514843C853AA3BEE51F963EF6EF423EB4EEB33E06E8363E72F86EBE6713973E17A99B3C48AF2B3E862591BE8B43D0BD23BDB1BEE8020DBE",
      torch_tensor_24_torch.float32: "0x0400000098E1AEBEBD8B4DBE63E2943E1E36943E9994813E1CC58B3EBFF5A03ECF68B9BD3A4C1F3E9046A13ED389EF3DF3F5B43EAAC63B3E8C0F613EE06BFDBD53B72D3E0767263D16ECACBDB3154CBE59254BBE794A8BBE2B0C733E3AB1803E81D124BD",
      torch_tensor_24_8_torch.float32: "0x04000000A844813E4A1FCA3D26F62D3EE2B6FF3D4E1FAEBD044798BDB72C95BE252B443EB3B98F3E42B7773ECD5F7FBED22C813CA2367FBEEB4B47BE40F652BE2773F73D5DBE57BEEDC1FCBB42AF733CE360693E0ED688BE428B78BED03852BE28677D3EE62302BE11B0983E79EA023EC25F373D487B2CBB01238FBDD6B1353DD656A5BD4ACE22BB43C6383D21988DBE7FC13DBEFB2B923ED8E792BE13F9CFBC4312B33E23C8023EB401243C87DF9CBE9058333EC4EF80BE288ACDBD95F0F2BD147456BDFF717D3B5D4E953E33C9343D4123A23EAC765D3ECAE264BE3660223E78EC7FBEEB7019BEB3F7D43DA915EF3D48CE873E8C17E9BDF25E143AD3623A3EF80FAFBE9CDF823E5FB095BE6EAC9F3BE83576BD0DAD3EBE73673F3D33B0953E76A9D3BDB2F056BE5DE505BEC16AB3BE0D6C233EC1DF2DBE5D9A71BE2C9250BE0528503EE5B93F3EB1EF8A3EDE51033E0AD0F1BD9257CABD04EAD53DDECD943EF8DEC43D034C2BBEAA2F2ABEEF25ABBE7A6F9C3D762B4BBE7864A1BE4ABB9E3EAA1C6BBE8BBE24BD8871CF3D0A8B383CF59B73BE655292BE8E49903ECCD06B3D972D963E79BDF2BDE947D53D4A94A5BD5CCD80BC5F7F5CBE35E2F43DB7EDE43DA5FCEEBBB8D8A2BDE22B5FBEAF5D7A3E52C186BE9350143E3B79F3BD0DAC2EBEB113823D42103CBEB8D4A63DE7318E3DAB6786BE9B1D713DED331A3E5E4E0F3EB44A36BDBD6594BE2A3D5FBD457AFB3D811904BE4C6C093EAD1A713E000A3DBED280643BDFB3153EA901E33CDDEEF13C0ED3343DD54E8EBEAA9DE33C6BB37A3E771EA33EDFC9543EA00E423DC313293EDB1F30BE350296BE8FA99BBE2F96B43E7BD1653EDB407ABE1CA50D3E2FB3883E1AF3B43E4A489E3ED43E8C3E5E00A6BDE11BFEBD2FA0943E0CE14A3E05DE59BE50BDA23E0EEC2E3E315C453ED2EA62BED6BCCF3D96D5FDBDCE708D3E784A82BD39F20C3EA99C803D33091A3EB90FF6BD0A85303E9DDF7CBE5789A33DD2F374BE1695B2BE5E5E91BECBE88E3E36E0433ECFD5A93EB804913E93A8A1BE031177BE20FF69BD9E1E6BBEFC657B3E1EDA88BEA2A330BE",
      torch_tensor_8_torch.float32_1: "0x040000000000000000000000000000000000000000000000000000000000000000000000",
      torch_tensor_8_torch.float32: "0x040000000000803F0000803F0000803F0000803F0000803F0000803F0000803F0000803F",
      torch_tensor_7_8_torch.float32: "0x04000000E50B40BF7EEEA7BFF01560BE1CD81BC0555495BD55350BBD9967763F2EC6B23EF183BDBE81EA9ABF2B691FBFFE6CEDBEF7FCF53F731ACEBE95C0FD3DA017953FFBA81B3F95E23ABFEA2462BFD47BD6BE1C094EBFCBCB103FDB401C3F5C0BEF3E193C41BFA32E7A3EF75C9EBD6A62EE3DC80F18BF0A399FBFF115D1BD504B84BFAB0C2A40C9307C3FBDEF84BEB25AF23D74D0793EA211953F41C0933E24F0C53E2AD8423FF7481E3FEC4899BEE54840BE223CF53FA4B0303FC29614C0F82399BF0897763E93B7B2BF018EE83DA7678D3FFF94B2BFC342F33E565050BFC19A6C3F"
    }
  }
#-}

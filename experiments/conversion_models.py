"""The architectures that `conversion.py` converts, the smallest of each family, and their sizes."""

from __future__ import annotations

from typing import Literal

TORCHVISION = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s"),
    *("googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mobilenet_v2"),
    *("mobilenet_v3_small", "mobilenet_v3_large", "regnet_x_400mf", "regnet_y_400mf", "resnet18"),
    *("resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "squeezenet1_1"),
    *("swin_t", "swin_v2_t", "vgg11", "vgg11_bn", "vit_b_16", "wide_resnet50_2"),
)

TIMM_CNN = (
    *("bat_resnext26ts", "eca_resnet33ts", "eca_resnext26ts", "gcresnet33ts", "gcresnext26ts"),
    *("gernet_s", "mobileone_s0", "regnetz_b16", "regnetz_b16_evos", "regnetz_d8", "repvgg_a0"),
    *("repvgg_b1g4", "resnet32ts", "resnet51q", "resnet61q", "resnext26ts", "seresnet33ts"),
    *("seresnext26ts", "resnet50_clip_gap", "resnet50_mlp", "test_byobnet"),
    *("convmixer_768_32", "convnext_atto", "convnext_atto_ols", "convnext_atto_rms"),
    *("convnext_tiny_hnf", "convnext_zepto_rms", "convnextv2_atto", "test_convnext"),
    *("cs3darknet_focus_s", "cs3darknet_s", "cs3edgenet_x", "cs3se_edgenet_x", "cs3sedarknet_l"),
    *("cs3sedarknet_xdw", "cspdarknet53", "cspresnet50", "cspresnet50d", "cspresnet50w"),
    *("cspresnext50", "darknet17", "darknet53", "darknetaa53", "sedarknet21", "cspnext_tiny"),
    *("densenet121", "densenetblur121d", "dla34", "dla46_c", "dla46x_c", "dla60_res2net"),
    *("dla60_res2next", "dla60x_c", "dpn48b", "dpn68"),
    *("efficientnet_b0", "efficientnet_b0_gn", "efficientnet_b0_g16_evos"),
    *("efficientnet_b1_pruned", "efficientnet_blur_b0", "efficientnet_cc_b0_4e"),
    *("efficientnet_es", "efficientnet_lite0", "efficientnetv2_rw_t", "efficientnetv2_s"),
    *("fbnetc_100", "gc_efficientnetv2_rw_t", "mixnet_s", "mnasnet_050", "mnasnet_small"),
    *("mobilenet_edgetpu_100", "mobilenet_edgetpu_v2_xs", "mobilenetv1_100", "mobilenetv1_100h"),
    *("mobilenetv2_035", "semnasnet_050", "spnasnet_100", "test_efficientnet"),
    *("tf_efficientnet_b0", "tf_efficientnet_cc_b0_4e", "tf_efficientnet_es"),
    *("tf_efficientnet_lite0", "tf_efficientnetv2_b0", "tf_mixnet_s", "tinynet_e"),
    *("fasternet_t0", "focalnet_tiny_srf", "ghostnet_050", "ghostnetv2_100", "ghostnetv3_050"),
    *("hardcorenas_a", "hgnet_tiny", "hgnetv2_b0", "hrnet_w18_small", "inception_next_atto"),
    *("inception_resnet_v2", "inception_v3", "inception_v4", "lcnetv2_small", "mambaout_femto"),
    *("test_mambaout", "convformer_s18", "poolformer_s12", "poolformerv2_s12"),
    *("fbnetv3_b", "lcnet_035", "mobilenetv3_small_050", "mobilenetv3_rw"),
    *("mobilenetv3_large_075", "mobilenetv4_conv_small_035", "mobilenetv4_conv_aa_medium"),
    *("mobilenetv4_conv_blur_medium", "tf_mobilenetv3_small_075"),
    *("tf_mobilenetv3_small_minimal_100", "nasnetalarge", "pnasnet5large"),
    *("dm_nfnet_f0", "eca_nfnet_l0", "nf_ecaresnet26", "nf_regnet_b0", "nf_resnet26"),
    *("nf_seresnet26", "nfnet_l0", "test_nfnet", "rdnet_tiny", "regnetv_040", "regnetx_002"),
    *("regnety_002", "regnety_040_sgn", "regnetz_005", "repghostnet_050", "repvit_m0_9"),
    *("res2net50_14w_8s", "res2net50d", "res2next50", "resnest14d", "ecaresnet26t"),
    *("ecaresnet50d_pruned", "ecaresnetlight", "ecaresnext26t_32x4d", "resnet10t", "resnet18"),
    *("resnet18d", "resnet26", "resnet26t", "resnet50_gn", "resnet50c", "resnet50s"),
    *("resnetaa34d", "resnetblur18", "resnetrs50", "resnext50_32x4d", "seresnet18"),
    *("seresnet50t", "seresnetaa50d", "seresnext26d_32x4d", "seresnext26t_32x4d"),
    *("test_resnet", "wide_resnet50_2", "resnetv2_18", "resnetv2_18d", "resnetv2_50d_evos"),
    *("resnetv2_50d_frn", "resnetv2_50d_gn", "resnetv2_50t", "resnetv2_50x1_bit"),
    *("rexnet_100", "rexnetr_100", "selecsls42", "selecsls42b", "legacy_seresnet18"),
    *("legacy_seresnext26_32x4d", "skresnet18", "skresnext50_32x4d", "starnet_s050"),
    *("tresnet_m", "vgg11", "vgg11_bn", "eca_vovnet39b", "ese_vovnet19b_dw"),
    *("ese_vovnet19b_slim", "ese_vovnet39b_evos", "vovnet39a", "legacy_xception", "xception41"),
    *("xception41p",),
)

TIMM_HYBRID = (
    *("botnet26t_256", "caformer_s18", "coat_lite_tiny", "coatnet_nano_rw_224"),
    *("coatnext_nano_rw_224", "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0"),
    *("efficientvit_b0", "efficientvit_m0", "fastvit_sa12", "gcvit_xxtiny", "halonet26t"),
    *("haloregnetz_b", "lambda_resnet26t", "levit_128s", "levit_conv_128s", "maxvit_pico_rw_256"),
    *("maxxvit_rmlp_nano_rw_256", "mobilevit_xxs", "mobilevitv2_050", "nextvit_small"),
    *("pvt_v2_b0", "shvit_s1", "swiftformer_xs", "tiny_vit_5m_224", "visformer_tiny"),
    *("vit_tiny_r_s16_p8_224",),
)

KINDS = {
    "torchvision": [f"torchvision:{name}" for name in TORCHVISION],
    "CNN": [f"timm:{name}" for name in TIMM_CNN],
    "hybrid": [f"timm:{name}" for name in TIMM_HYBRID],
}
# Height and width where the architecture takes any; smaller is faster.
PIXELS, PIXELS_OF_A_STEP = 128, 64
# Its training step takes over 12 GB.
NO_STEP = {"timm:nasnetalarge"}
# Why a figure is larger than allowed.
REASONS = {
    "torchvision:mobilenet_v3_large": "PyTorch's float64 gradient of hardsigmoid has a 1/6 that is "
    "rounded to float32",
}
# They need more than that, or fix their size without saying so in timm's configuration.
SIZES = {
    "timm:bat_resnext26ts": 256,
    "torchvision:inception_v3": 299,
    "torchvision:googlenet": 224,
    "timm:inception_v3": 299,
    "timm:inception_v4": 299,
    "timm:inception_resnet_v2": 299,
    "timm:nasnetalarge": 331,
    "timm:pnasnet5large": 331,
    "torchvision:swin_t": 224,
    "torchvision:swin_v2_t": 256,
    "torchvision:maxvit_t": 224,
    "torchvision:vit_b_16": 224,
}
# Auxiliary heads run while training only.
MODES: dict[str, Literal["eval", "train"]] = {
    "torchvision:googlenet": "eval",
    "torchvision:inception_v3": "eval",
}

"""PyTorch's side of the models that torchvision lacks, with their origins' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def cifar_resnet(num_blocks: Sequence[int], option: str = "A") -> Any:
    """akamaster/pytorch_resnet_cifar10's ResNet."""
    import torch
    from torch import nn

    class LambdaLayer(nn.Module):
        def __init__(self, padding: int) -> None:
            super().__init__()
            self.padding = padding

        def forward(self, x: Any) -> Any:
            zeros = torch.zeros_like(x[:, : self.padding, ::2, ::2])
            return torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1)

    class BasicBlock(nn.Module):
        def __init__(self, inputs: int, planes: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(planes)
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(planes)
            self.shortcut = nn.Sequential()
            if stride == 2 and option == "A":
                self.shortcut = LambdaLayer(inputs // 2)
            elif stride == 2:
                conv = nn.Conv2d(inputs, planes, 1, 2, bias=False)
                self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(planes))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            return (y + self.shortcut(x)).relu()

    class ResNet(nn.Module):
        layer1: Any
        layer2: Any
        layer3: Any

        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            for i, (inputs, blocks) in enumerate(zip((16, 16, 32), num_blocks, strict=True)):
                first = BasicBlock(inputs, 16 << i, min(i, 1) + 1)
                rest = [BasicBlock(16 << i, 16 << i, 1) for _ in range(blocks - 1)]
                self.add_module(f"layer{i + 1}", nn.Sequential(first, *rest))
            self.linear = nn.Linear(64, 10)
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.kaiming_normal_(module.weight)

        def forward(self, x: Any) -> Any:
            x = self.bn1(self.conv1(x)).relu()
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.linear(nn.functional.avg_pool2d(x, x.shape[3]).flatten(1))

    return ResNet()


def unet(bilinear: bool = False) -> Any:
    """milesial/Pytorch-UNet's UNet, with two classes."""
    import torch
    from torch import nn

    class DoubleConv(nn.Module):
        def __init__(self, inputs: int, outputs: int, middle: int | None = None) -> None:
            super().__init__()
            layers = []
            for a, b in ((inputs, middle or outputs), (middle or outputs, outputs)):
                conv = nn.Conv2d(a, b, 3, padding=1, bias=False)
                layers += [conv, nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
            self.double_conv = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            return self.double_conv(x)

    class Down(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

        def forward(self, x: Any) -> Any:
            return self.maxpool_conv(x)

    class Up(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            if bilinear:
                self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            else:
                self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
            self.conv = DoubleConv(inputs, outputs, inputs // 2 if bilinear else None)

        def forward(self, x: Any, skip: Any) -> Any:
            x = self.up(x)
            dy, dx = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = nn.functional.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
            return self.conv(torch.cat([skip, x], 1))

    class OutConv(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(64, 2, 1)

        def forward(self, x: Any) -> Any:
            return self.conv(x)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            factor = 2 if bilinear else 1
            self.inc = DoubleConv(3, 64)
            for i, outputs in enumerate((128, 256, 512, 1024 // factor)):
                self.add_module(f"down{i + 1}", Down(64 << i, outputs))
            for i, outputs in enumerate((512 // factor, 256 // factor, 128 // factor, 64)):
                self.add_module(f"up{i + 1}", Up(1024 >> i, outputs))
            self.outc = OutConv()

        def forward(self, x: Any) -> Any:
            maps = [self.inc(x)]
            for i in range(4):
                maps.append(getattr(self, f"down{i + 1}")(maps[-1]))
            x = maps.pop()
            for i in range(4):
                x = getattr(self, f"up{i + 1}")(x, maps.pop())
            return self.outc(x)

    return UNet()


def lenet() -> Any:
    """LeNet with ReLU and max pooling."""
    from torch import nn
    from torch.nn import functional as F

    class LeNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
            self.fc1, self.fc2, self.fc3 = (
                nn.Linear(256, 120),
                nn.Linear(120, 84),
                nn.Linear(84, 10),
            )

        def forward(self, x: Any) -> Any:
            x = F.max_pool2d(self.conv1(x).relu(), 2)
            x = F.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
            return self.fc3(self.fc2(self.fc1(x).relu()).relu())

    return LeNet()

# SPDX-License-Identifier: Apache-2.0
"""DistributedDataParallel on init_process_group("tandem"): two processes train a line."""
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import tandem.c10d  # registers the backend


def train(rank: int, size: int) -> None:
    dist.init_process_group("tandem", rank=rank, world_size=size, init_method="tcp://127.0.0.1:50017")
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(100):
        x = torch.randn(32, 1)
        loss = (model(x) - 3 * x - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if rank == 0:
        print("weight and bias, 3 and 1 wanted:", [round(one.item(), 3) for one in model.parameters()])


if __name__ == "__main__":
    mp.spawn(train, args=(2,), nprocs=2)

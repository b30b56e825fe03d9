import torch

torch.set_num_threads(1)  # as training sets it; more threads than cores make small networks crawl

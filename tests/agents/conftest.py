import torch
from threadpoolctl import threadpool_limits

torch.set_num_threads(1)  # as training sets it; more threads than cores make small networks crawl
threadpool_limits(1, user_api="blas")

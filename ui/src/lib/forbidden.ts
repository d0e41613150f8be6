import { ApiProblem } from '@/api/problem'

/** What a page shows when the roles of the person do not reach it; the hub would say the same. */
export const forbidden = new ApiProblem({ status: 403, code: 'forbidden', title: 'You may not see this' })
